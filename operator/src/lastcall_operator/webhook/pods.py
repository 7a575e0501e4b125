"""The way of a new pod: read → choose its StreamProxy → inject → answer with a JSON patch.

Whatever goes wrong, the pod is refused with a sentence: a labelled pod without its sidecar would be a lie, and its
ReplicaSet tries again.
"""

import base64
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog

from lastcall_operator.api import names
from lastcall_operator.cluster.observe import Observer
from lastcall_operator.errors import LastcallError
from lastcall_operator.injection import InjectionDefaults, choose_proxy, inject, json_patch
from lastcall_operator.removal.review import API_VERSION, ReviewError, uid_of
from lastcall_operator.telemetry import tracing
from lastcall_operator.telemetry.metrics import Metrics

log = structlog.get_logger("lastcall.pods")


@dataclass(frozen=True, slots=True)
class _Answer:
    """What is said of a pod: a patch (empty: nothing to change), or why it is refused."""

    patch: list[dict[str, Any]]
    refused: str | None = None
    outcome: str = "injected"


class Pods:
    """Answers AdmissionReviews of new pods."""

    def __init__(self, observer: Observer, defaults: InjectionDefaults, metrics: Metrics) -> None:
        self._observer, self._defaults, self._metrics = observer, defaults, metrics

    async def answer(self, body: Any) -> dict[str, Any]:
        """The AdmissionReview to send back.

        Errors: ReviewError when it is none of a pod.
        """
        try:
            request = body["request"]
            uid, namespace, pod = request["uid"], request["namespace"], request["object"]
            # Labels that are no mapping ask for nothing; the API server refuses such a pod by itself.
            said = pod["metadata"].get("labels")
            labels: dict[str, str] = said if isinstance(said, dict) else {}
        except (KeyError, TypeError, AttributeError) as error:
            raise ReviewError(f"no AdmissionReview of a pod: {error!r}") from error
        name = pod["metadata"].get("name") or pod["metadata"].get("generateName", "")
        with tracing.span(f"inject {name}", {"k8s.namespace.name": namespace}):
            try:
                answer = await self._answered(namespace, pod, labels)
            except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
                # The API server's pods have the types of its schema: this one is somebody else's.
                raise ReviewError(f"no pod can be read: {error!r}") from error
        self._metrics.injection(answer.outcome)
        log.info("pod.reviewed", pod=f"{namespace}/{name}", outcome=answer.outcome, why=answer.refused)
        return _review(uid, answer)

    async def untouched(self, body: Any) -> dict[str, Any]:
        """What a release says that is not the first here.

        Errors: as `answer`.
        """
        return _review(uid_of(body), _Answer([], outcome="another release"))

    async def _answered(self, namespace: str, pod: dict[str, Any], labels: dict[str, str]) -> _Answer:
        if labels.get(names.INJECT_LABEL) != names.TRUE:
            return _Answer([], outcome="unlabelled")
        try:
            proxies = await self._observer.proxies(namespace)
            proxy, _losers = choose_proxy(labels, list(proxies.values()))
            if proxy is None:
                return _Answer([], _nobody(namespace, len(proxies)), "refused")
            injected = inject(pod, proxy, self._defaults)
        except LastcallError as error:
            return _Answer([], f"lastcall: {error}", "refused")
        return _Answer(json_patch(pod, injected.pod))


def _nobody(namespace: str, proxies: int) -> str:
    return (
        f"lastcall: the pod is labelled {names.INJECT_LABEL}={names.TRUE}, but none of the {proxies} StreamProxies in "
        f"namespace {namespace} selects it; create one whose spec.selector matches its labels, or remove the label"
    )


def _review(uid: str, answer: _Answer) -> dict[str, Any]:
    response: dict[str, Any] = {"uid": uid, "allowed": answer.refused is None}
    if answer.refused is not None:
        response["status"] = {"status": "Failure", "code": 403, "reason": "Forbidden", "message": answer.refused}
    elif answer.patch:
        response["patchType"] = "JSONPatch"
        response["patch"] = base64.b64encode(msgspec.json.encode(answer.patch)).decode()
    return {"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response}
