"""A ReplicaSet controller, an API server and pods with streams, in steps of one second: what decisions lead to."""

from dataclasses import replace

from lastcall_operator.removal import Allow, Refuse, Removal, Snapshot, decide
from lastcall_operator.removal.model import Kind, Load

#: Seconds in which a pod that goes finishes whatever it carries.
CEILING = 20
#: How often the controller asks within a second when it is refused: its back-off begins at 10 ms.
TRIES = 4


class World:
    """Pods of one ReplicaSet that is to lose `surplus` of them; whoever is left goes on getting streams."""

    def __init__(self, pods, policy, surplus, random):
        self.pods = {pod.uid: pod for pod in pods}
        self.policy = policy
        self.left = surplus
        self.random = random
        self.now = 0.0
        self.ends: dict[str, float] = {}
        #: (snapshot as it was, the pod, the decision)
        self.allowed: list[tuple[Snapshot, str, Allow]] = []

    @property
    def snapshot(self):
        return Snapshot(tuple(self.pods.values()))

    def choose(self):
        """The controller's victims, as kubernetes/pkg/controller.ActivePodsWithRanks sorts them."""
        free = [pod for pod in self.pods.values() if not pod.terminating]
        free.sort(key=lambda pod: (pod.scheduled, pod.running, pod.ready, pod.cost or 0, -pod.created, pod.name))
        return [pod.uid for pod in free[: self.left]]

    def ask(self, uid):
        """One removal: decided, and what the decision asks for is done."""
        before = self.snapshot
        decision = decide(Removal(Kind.REPLICA_SET, uid), before, self.policy, self.now)
        if isinstance(decision, Allow):
            self.allowed.append((before, uid, decision))
            self.left -= 1
            self.ends[uid] = self.now + self.random.randint(1, CEILING)
            self._change(uid, terminating=True)
            return
        for other, cost in decision.costs.items():
            self._change(other, cost=cost, cost_written=cost)
        if decision.mark:
            self._change(uid, held_since=decision.since)

    def second(self):
        """The controller asks, a few times; then streams come and go, and pods end."""
        for _ in range(TRIES):
            for uid in self.choose():
                self.ask(uid)
        self.now += 1
        for uid, pod in list(self.pods.items()):
            if self.ends.get(uid, self.now + 1) <= self.now:
                del self.pods[uid]
            elif pod.load is Load.KNOWN:
                change = self.random.randint(-2, 0 if pod.terminating else 2)
                self._change(uid, in_flight=max(0, pod.in_flight + change))

    def _change(self, uid, **values):
        self.pods[uid] = replace(self.pods[uid], **values)


def refused(removal, snapshot, policy, now):
    """Whether it is refused."""
    return isinstance(decide(removal, snapshot, policy, now), Refuse)
