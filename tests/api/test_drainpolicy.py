"""What a DrainPolicy may say."""

import pytest

from lastcall_operator.api.drainpolicy import parse_drain_policy
from lastcall_operator.api.schema import SpecError

TARGET = {"kind": "Deployment", "name": "chat"}


def policy(**spec):
    metadata = {"name": "p", "creationTimestamp": "2026-11-22T10:00:00Z", "annotations": {"a": "b"}}
    return parse_drain_policy({"metadata": metadata, "spec": {"targetRef": TARGET, **spec}})


@pytest.mark.parametrize(
    ("asked", "replicas", "limit"),
    [(None, 9, None), (2, 9, 2), ("25%", 4, 1), ("25%", 5, 2), ("1%", 3, 1), ("100%", 7, 7), ("50%", 0, 1)],
)
def test_a_percentage_is_of_the_replicas_rounded_up_and_never_nothing(asked, replicas, limit):
    assert policy(maxDraining=asked).spec.busy_limit(replicas) == limit


def test_the_oldest_comes_first_and_annotations_are_kept():
    made = policy()
    assert made.age == ("2026-11-22T10:00:00Z", "p")
    assert made.annotations == {"a": "b"}


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({"maxDraining": 0}, "spec.maxDraining must be at least 1"),
        ({"maxDraining": "0%"}, "a percentage like 25%, not '0%'"),
        ({"maxDraining": "101%"}, "a percentage like 25%, not '101%'"),
        ({"maxDraining": "2"}, "a percentage like 25%, not '2'"),
        ({"targetRef": {**TARGET, "kind": "DaemonSet"}}, "not DaemonSet of apps/v1"),
        ({"targetRef": {**TARGET, "kind": "Rollout"}}, "as argoproj.io/v1alpha1 and Rollout, not Rollout of apps/v1"),
        ({"targetRef": {**TARGET, "apiVersion": "argoproj.io/v1alpha1"}}, "not Deployment of argoproj.io/v1alpha1"),
        ({"targetRef": {**TARGET, "apiVersion": "v1"}}, "spec.targetRef.apiVersion"),
        ({"targetRef": {**TARGET, "kind": "rollouts"}}, "spec.targetRef.kind"),
        ({"order": "BusiestFirst"}, "spec.order"),
        ({"holdDeadlineSeconds": 0}, "spec.holdDeadlineSeconds: Expected `int` >= 1"),
        ({"pollSeconds": 301}, "spec.pollSeconds: Expected `int` <= 300"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_nonsense_is_a_sentence_that_names_the_field(spec, sentence):
    with pytest.raises(SpecError) as caught:
        policy(**spec)
    assert sentence in str(caught.value)
