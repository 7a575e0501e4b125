"""Every name that Lastcall writes into a cluster or reads from it, once."""

from enum import StrEnum

GROUP = "lastcall.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
STREAM_PROXIES = "streamproxies"
DRAIN_POLICIES = "drainpolicies"

#: Label by which a pod's template asks for a sidecar.
INJECT_LABEL = f"{GROUP}/inject"
#: Label of every pod that has a sidecar, whoever put it there.
SIDECAR_LABEL = f"{GROUP}/sidecar"
TRUE = "true"

#: Annotations of pods, written at injection.
ADMIN_PORT = f"{GROUP}/admin-port"
#: The StreamProxy, by name, that configures the pod's sidecar.
STREAM_PROXY = f"{GROUP}/stream-proxy"
#: The version of the injection and a hash of what went into it, as JSON.
INJECTED = f"{GROUP}/injected"
#: What was the user's own before the injection, as JSON: preStop hooks that were replaced, the grace period.
#: Labels of pods that name their ReplicaSet's revision: a Deployment's, and an Argo Rollout's.
TEMPLATE_HASHES = ("pod-template-hash", "rollouts-pod-template-hash")
#: Annotations of ReplicaSets that say which revision is the newest: a Deployment's, and an Argo Rollout's.
SEQUENCES = ("deployment.kubernetes.io/revision", "rollout.argoproj.io/revision")
ORIGINAL = f"{GROUP}/original"
#: What the injection has to tell (a list of {reason, message}), as JSON; the controller makes events of it.
NOTES = f"{GROUP}/notes"

#: Annotation of pods, cluster-autoscaler's: volumes, by name, that may go with their pod.
SAFE_TO_EVICT_VOLUMES = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"

#: Annotations of pods, written while they are asked to go.
HELD_SINCE = f"{GROUP}/held-since"
#: Since when a StatefulSet's rollout (`OnDelete`) has waited for the pod to drain: written by the controller alone.
ROLLOUT_SINCE = f"{GROUP}/rollout-since"
#: A person's word that the pod may go whatever it carries.
ALLOW_REMOVAL = f"{GROUP}/allow-removal"
#: Touched (RFC 3339) so that the ReplicaSet controller asks again at once.
ASK_AGAIN = f"{GROUP}/ask-again"
#: The cost that we wrote last: another value in DELETION_COST is somebody else's.
COST_WRITTEN = f"{GROUP}/deletion-cost-written"
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
#: All that we write on pods and that means nothing without us; DELETION_COST is ours only if we wrote it last.
POD_MARKS = (HELD_SINCE, ROLLOUT_SINCE, ASK_AGAIN, COST_WRITTEN)

#: Annotation of a DrainPolicy: what has just been allowed, leased or refused, as JSON
#: {pod uid: {kind: [since, until]}}; what two webhooks and the controller agree through, because the API server shows a
#: deletion only after both have answered.
RESERVATIONS = f"{GROUP}/reservations"

#: The key in the ConfigMap of a StreamProxy, and where pods have it.
CONFIG_FILE = "lastcall.yaml"
CONFIG_FOLDER = "/etc/lastcall/config"
SECRETS_FOLDER = "/etc/lastcall/secrets"
SIDECAR_CONTAINER = "lastcall"
#: Where the image listens by itself: the chart's gateway, a pod of mode Gateway. Injected sidecars listen elsewhere.
ADMIN_PORT_DEFAULT = 8081
TRAFFIC_PORT_DEFAULT = 8080

#: The Secret of the Ed25519 key that signs leased drains, in the operator's own namespace: `private.pem`, `public.pem`.
DRAIN_KEY_PRIVATE = "private.pem"
DRAIN_KEY_PUBLIC = "public.pem"


class Reason(StrEnum):
    """Reasons of events."""

    DRAIN_STARTED = "DrainStarted"
    DRAIN_FINISHED = "DrainFinished"
    DRAIN_EXPIRED = "DrainExpired"
    APP_DOES_NOT_END = "AppDoesNotEnd"
    REMOVAL_REFUSED = "RemovalRefused"
    REMOVAL_ALLOWED = "RemovalAllowed"
    ROLLOUT_STARTED = "RolloutStarted"
    ROLLOUT_FINISHED = "RolloutFinished"
    CONFIG_APPLIED = "ConfigApplied"
    CONFIG_REJECTED = "ConfigRejected"
    PRE_STOP_REPLACED = "PreStopReplaced"
    PRE_STOP_KEPT = "PreStopKept"
    PORT_CONFLICT = "PortConflict"
    BYPASSED = "Bypassed"
    CONFLICTED = "Conflicted"
    UNREACHABLE = "Unreachable"
    TARGET_NOT_FOUND = "TargetNotFound"
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 - the name of an event
    APP_CRASHES = "AppCrashes"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    INJECTION_REFUSED = "InjectionRefused"
    KEY_UNUSABLE = "KeyUnusable"


#: The longest name of a resource of ours: what is named after it still fits (253, less `lastcall-`).
MAX_NAME_CHARS = 244


def config_map_name(proxy: str) -> str:
    """The ConfigMap of a StreamProxy."""
    return f"lastcall-{proxy}"
