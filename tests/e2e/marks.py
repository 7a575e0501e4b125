"""What Lastcall may write on pods, watched for as long as the tests run: in no namespace and at no moment more."""

import json
import subprocess
import threading
from dataclasses import dataclass, field
from typing import Any

from tests.e2e import kube

PREFIX = "lastcall.dev/"
#: Annotations that are documented. kopf's own would have the same prefix: it is what the operator is told to use.
ALLOWED = frozenset(
    PREFIX + name
    for name in (
        "admin-port",
        "fixed-config",  # the chart's, on the gateway's pods
        "stream-proxy",
        "injected",
        "original",
        "notes",
        "held-since",
        "rollout-since",
        "allow-removal",
        "ask-again",
        "deletion-cost-written",
    )
)
#: Kubernetes' own, on the pods of a Job.
_JOB_TRACKING = "batch.kubernetes.io/job-tracking"


@dataclass
class Marks:
    """What was seen so far. `strange`: (namespace/pod, what) that nobody may write."""

    pods: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)
    strange: set[tuple[str, str]] = field(default_factory=set)

    def look(self, pod: dict[str, Any]) -> None:
        """Take note of one pod."""
        metadata = pod["metadata"]
        name = f"{metadata['namespace']}/{metadata['name']}"
        ours = {mark for mark in metadata.get("annotations") or {} if mark.startswith(PREFIX) or "kopf" in mark}
        self.pods.add(name)
        self.seen |= ours
        self.strange |= {(name, f"annotation {mark}") for mark in ours - ALLOWED}
        finalizers = set(metadata.get("finalizers") or []) - {_JOB_TRACKING}
        self.strange |= {(name, f"finalizer {mark}") for mark in finalizers}


class Watcher:
    """Reads every change of every pod in a thread of its own, so that no test's event loop has to."""

    def __init__(self) -> None:
        self.marks = Marks()
        self._stopped = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin, with all pods that are there."""
        self._thread.start()

    def stop(self) -> Marks:
        """End, and tell what was seen."""
        self._stopped.set()
        if self._process is not None:
            self._process.terminate()
        self._thread.join(30)
        return self.marks

    def _run(self) -> None:
        command = ("kubectl", "--context", kube.CONTEXT, "get", "--raw", "/api/v1/pods?watch=1")
        while not self._stopped.is_set():  # a watch ends by itself after half an hour; the next begins with all pods
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
                self._process = process
                assert process.stdout is not None
                for line in process.stdout:
                    event = json.loads(line)
                    if event.get("object", {}).get("kind") == "Pod":
                        self.marks.look(event["object"])
            self._stopped.wait(0.5)
