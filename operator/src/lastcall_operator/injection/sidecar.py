"""The sidecar's container and the volumes of a pod's configuration.

Pure. The one place that says how a sidecar is run beside an app; the chart says the same for the gateway.
"""

from collections.abc import Iterator
from typing import Any

from lastcall_operator.api import names
from lastcall_operator.api.streamproxy import ApiKeyRef, Mode, StreamProxy
from lastcall_operator.configuration import paths
from lastcall_operator.injection.containers import Object
from lastcall_operator.injection.original import DRAIN_COMMAND, WAIT_PATH

#: The image's own user. Named only where the pod would have root: OpenShift gives each namespace users of its own, and
#: refuses any other (https://docs.openshift.com/container-platform/latest/authentication/managing-security-context-constraints.html).
USER = 65532
#: A sidecar that hangs for a minute is given one more to end what can end; the pod's grace is for its drain.
LIVENESS_GRACE_SECONDS = 60
ADMIN_PORT_NAME = "lastcall-admin"

DRAIN_HOOK: Object = {"exec": {"command": DRAIN_COMMAND}}
SERVE_ARGUMENTS = ["serve", "--config", paths.CONFIG_PATH]


def wait_hook(admin_port: int) -> Object:
    """The preStop of an app's container: it waits for the drain, and starts none."""
    return {"httpGet": {"path": WAIT_PATH, "port": admin_port, "scheme": "HTTP"}}


def container(
    proxy: StreamProxy,
    *,
    image: str,
    pull_policy: str,
    resources: Object,
    root: bool,
    traffic_port: int,
    admin_port: int,
    app_port: int | None,
) -> Object:
    """The native sidecar. `app_port` is None in Egress: there only the pod's own containers reach it.

    `root`: the pod's own user is root, which a container without a user of its own would be, too.
    """
    host = "127.0.0.1" if app_port is None else "[::]"
    env = [
        *environment(proxy),
        {"name": "LASTCALL_LISTEN__TRAFFIC", "value": f"{host}:{traffic_port}"},
        {"name": "LASTCALL_LISTEN__ADMIN", "value": f"[::]:{admin_port}"},
    ]
    if app_port is not None:
        env.append({"name": "LASTCALL_UPSTREAM__URL", "value": f"http://127.0.0.1:{app_port}"})
    context: Object = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    if root:
        context["runAsUser"] = USER
    return {
        "name": names.SIDECAR_CONTAINER,
        "image": image,
        "imagePullPolicy": pull_policy,
        "restartPolicy": "Always",
        "args": list(SERVE_ARGUMENTS),
        "env": env,
        # The traffic port is declared by the app's container (`appport.py`), or reached from within the pod only.
        "ports": [{"name": ADMIN_PORT_NAME, "containerPort": admin_port, "protocol": "TCP"}],
        **probes(admin_port, ready=proxy.spec.mode is not Mode.EGRESS),
        "lifecycle": {"preStop": DRAIN_HOOK},
        "resources": resources,
        "securityContext": context,
        "volumeMounts": [*mounts(proxy), {"name": paths.TMP_VOLUME, "mountPath": "/tmp"}],  # noqa: S108 - an emptyDir
    }


def probes(admin_port: int, *, ready: bool) -> Object:
    """Startup, patient liveness and, if `ready`, readiness, all on the admin listener."""
    made: Object = {
        "startupProbe": {
            "httpGet": {"path": "/livez", "port": admin_port},
            "initialDelaySeconds": 1,
            "periodSeconds": 1,
            "timeoutSeconds": 10,
            "failureThreshold": 60,
            "terminationGracePeriodSeconds": LIVENESS_GRACE_SECONDS,
        },
        # 200 while draining, and patient: a busy loop must not kill streams.
        "livenessProbe": {
            "httpGet": {"path": "/livez", "port": admin_port},
            "periodSeconds": 10,
            "timeoutSeconds": 10,
            "failureThreshold": 6,
            "terminationGracePeriodSeconds": LIVENESS_GRACE_SECONDS,
        },
    }
    if ready:
        # 503 in a leased drain. A pod that is being deleted is out of load balancing wherever another is Ready; it goes
        # on saying that it serves, for Services that have no other (drain.readiness).
        made["readinessProbe"] = {
            "httpGet": {"path": "/ready", "port": admin_port},
            "periodSeconds": 2,
            "timeoutSeconds": 5,
            "failureThreshold": 3,
        }
    return made


def environment(proxy: StreamProxy) -> list[dict[str, Any]]:
    """Who the pod is, and what no running sidecar can change: the log's level holds for the pod's life."""
    return [
        {"name": "LASTCALL_POD__NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "LASTCALL_POD__UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
        {"name": "LASTCALL_LOGS__LEVEL", "value": str(proxy.spec.sidecar.log_level)},
    ]


def mounts(proxy: StreamProxy) -> list[Object]:
    """Folders, never `subPath`: only a folder follows a change of its ConfigMap or Secret."""
    made = [{"name": paths.CONFIG_VOLUME, "mountPath": names.CONFIG_FOLDER, "readOnly": True}]
    if proxy.spec.upstream.api_key_secret_ref is not None:
        made.append({"name": paths.UPSTREAM_VOLUME, "mountPath": paths.UPSTREAM_FOLDER, "readOnly": True})
    for name, _ in _named_keys(proxy):
        volume, folder = paths.named_upstream_volume(name), paths.named_upstream_folder(name)
        made.append({"name": volume, "mountPath": folder, "readOnly": True})
    if proxy.spec.auth.api_keys_secret_ref is not None:
        made.append({"name": paths.CLIENTS_VOLUME, "mountPath": paths.CLIENTS_FOLDER, "readOnly": True})
    return [*made, {"name": paths.RUN_VOLUME, "mountPath": paths.RUN_FOLDER}]


def volumes(proxy: StreamProxy, *, tmp: bool) -> list[Object]:
    """What `mounts` mounts; `tmp`: and a place for temporary files."""
    made: list[Object] = [{"name": paths.CONFIG_VOLUME, "configMap": {"name": names.config_map_name(proxy.name)}}]
    upstream, clients = proxy.spec.upstream.api_key_secret_ref, proxy.spec.auth.api_keys_secret_ref
    if upstream is not None:
        made.append(_secret(paths.UPSTREAM_VOLUME, upstream.name, upstream.key, paths.API_KEY_FILE))
    made += [
        _secret(paths.named_upstream_volume(name), ref.name, ref.key, paths.API_KEY_FILE)
        for name, ref in _named_keys(proxy)
    ]
    if clients is not None:
        made.append(_secret(paths.CLIENTS_VOLUME, clients.name, clients.key, paths.API_KEYS_FILE))
    made.append({"name": paths.RUN_VOLUME, "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}})
    if tmp:
        made.append({"name": paths.TMP_VOLUME, "emptyDir": {"sizeLimit": "64Mi"}})
    return made


def _named_keys(proxy: StreamProxy) -> Iterator[tuple[str, ApiKeyRef]]:
    for upstream in proxy.spec.upstreams:
        if upstream.api_key_secret_ref is not None:
            yield upstream.name, upstream.api_key_secret_ref


def _secret(volume: str, name: str, key: str, file: str) -> Object:
    # Readable by all: the pod's fsGroup is the app's business, and no other container mounts it.
    items = [{"key": key, "path": file}]
    return {"name": volume, "secret": {"secretName": name, "defaultMode": 0o444, "items": items}}
