"""The two ways to restart everything: as Lastcall does it, and as it is usually done.

Each runs to its end and notes on the stage what it does. What goes wrong in the cluster is raised from `check`.
"""

import asyncio
import time

from lastcall_operator.demo.scene import Stage
from lastcall_operator.errors import ProcessError
from lastcall_operator.local.cluster import LocalCluster
from lastcall_operator.rollout import Action, DrainPod, DrainPolicy, Finished, ReplacePod, Wait, plan

#: An operator would be woken by its polls; here it simply asks again.
_STEP_SECONDS = 0.2
#: Three drains of streams of at most 20 s, and as much again.
_LIMIT_SECONDS = 150.0
#: How long an ordinary restart waits between asking and killing: nobody waits for streams of minutes.
NAIVE_GRACE_SECONDS = 1.0


async def roll_out(cluster: LocalCluster, stage: Stage, policy: DrainPolicy) -> None:
    """Do what the planner says until it says that all is done; ProcessError when that never comes."""
    cluster.revision = "2"
    deadline = time.monotonic() + _LIMIT_SECONDS
    while time.monotonic() < deadline:
        cluster.check()
        actions = plan(cluster.snapshot(), policy, time.monotonic())
        for action in actions:
            _note(action, stage)
            cluster.act(action)
        if any(isinstance(action, Finished) for action in actions):
            return
        await asyncio.sleep(_STEP_SECONDS)
    raise ProcessError(f"The rollout took more than {_LIMIT_SECONDS:.0f} s; at last: {stage.doing}.")


def _note(action: Action, stage: Stage) -> None:
    match action:
        case DrainPod(pod, why):
            stage.doing = f"drain {pod}"
            stage.tell(f"drain {pod}: {why}", time.monotonic())
        case ReplacePod(pod, why):
            stage.doing = f"replace {pod}"
            stage.replaced.append(pod)
            stage.tell(f"replace {pod}: {why}", time.monotonic())
        case Wait(why):
            stage.doing = why
        case Finished(why):
            stage.doing = why
            stage.tell(f"rolled out: {why}", time.monotonic())


async def restart_naively(cluster: LocalCluster, stage: Stage) -> None:
    """Restart one after the other, as a proxy that knows nothing of its streams is restarted.

    An ordinary proxy closes its streams at SIGTERM. Ours would not, so it is killed a second later, as the kubelet
    kills what outlives its grace period.
    """
    cluster.revision = "2"
    for pod in cluster.snapshot().pods:
        cluster.check()
        stage.doing = f"restart {pod.name}"
        stage.tell(f"restart {pod.name}, with {pod.in_flight} in flight", time.monotonic())
        await cluster.replace(pod.name, NAIVE_GRACE_SECONDS)
        stage.replaced.append(pod.name)
    stage.doing = "all restarted"
    stage.tell("rolled out: all restarted", time.monotonic())
