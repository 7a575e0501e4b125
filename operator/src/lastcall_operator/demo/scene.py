"""What there is to see at one moment: frozen, so that the picture and the plain lines tell the same."""

from dataclasses import dataclass

from lastcall_operator.local.cluster import LocalCluster
from lastcall_operator.local.ledger import Kind, Ledger, Score
from lastcall_operator.local.sidecars import LocalPod
from lastcall_operator.rollout import PodState


@dataclass(frozen=True, slots=True)
class Row:
    """One sidecar. `in_flight` is None while it does not answer."""

    name: str
    revision: str
    state: str
    in_flight: int | None
    oldest_seconds: float | None
    completed: int


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that is shown. `story` holds (seconds, sentence) pairs, oldest first."""

    naive: bool
    elapsed_seconds: float
    rows: tuple[Row, ...]
    busiest: int
    score: Score
    scores: tuple[tuple[Kind, Score], ...]
    replaced: int
    total: int
    doing: str
    story: tuple[tuple[float, str], ...]


class Stage:
    """Where the run notes what happens, and where scenes are taken. `start` and `now` are of one monotonic clock."""

    def __init__(self, *, naive: bool, start: float) -> None:
        self.naive = naive
        self.doing = "starting"
        self.ledger = Ledger()
        self.cluster: LocalCluster | None = None
        self.replaced: list[str] = []
        self.story: list[tuple[float, str]] = []
        self._start = start
        self._busiest = 1

    def tell(self, sentence: str, now: float) -> None:
        """Add a sentence to the story."""
        self.story.append((now - self._start, sentence))

    def scene(self, now: float) -> Scene:
        """Take a picture of everything."""
        pods = self.cluster.pods if self.cluster is not None else []
        rows = tuple(_row(pod) for pod in pods)
        self._busiest = max(self._busiest, *(row.in_flight or 0 for row in rows), 1)
        return Scene(
            naive=self.naive,
            elapsed_seconds=now - self._start,
            rows=rows,
            busiest=self._busiest,
            score=self.ledger.score(),
            scores=tuple(self.ledger.scores().items()),
            replaced=len(self.replaced),
            total=self.cluster.replicas if self.cluster is not None else 0,
            doing=self.doing,
            story=tuple(self.story),
        )


def _row(pod: LocalPod) -> Row:
    view = pod.view()
    return Row(pod.name, pod.revision, _state(pod), view.in_flight, view.oldest_request_seconds, pod.totals.completed)


def _state(pod: LocalPod) -> str:
    """Name a pod's condition in one word, the most telling first."""
    view = pod.view()
    if pod.terminating or view.state is PodState.GONE:
        return "ending"
    if view.state is not None and view.state is not PodState.SERVING:
        return view.state.value
    return "serving" if view.ready else "starting"
