"""What `lastcall watch` and `check` read off objects."""

import pytest

from lastcall_operator.commands.check import (
    Mark,
    aks_findings,
    condition_findings,
    gone_findings,
    grace_findings,
    webhook_findings,
    why_plain,
)
from lastcall_operator.commands.progress import Account, Pace, Patience, progress
from lastcall_operator.commands.rows import PodRow


def workload(*, replicas=3, updated=3, ready=3, current=3, observed=2):
    return {
        "kind": "Deployment",
        "metadata": {"name": "chat", "generation": 2},
        "spec": {"replicas": replicas},
        "status": {
            "observedGeneration": observed, "updatedReplicas": updated, "readyReplicas": ready, "replicas": current,
        },
    }  # fmt: skip


def row(pod, *, in_flight=0, terminating=False, held=None, revision="new"):
    return PodRow("llm", pod, in_flight, None, "serving", True, terminating, revision, "n", held)


POLICY = {
    "status": {
        "conditions": [
            {"type": "Progressing", "status": "True", "message": "2 of 3 updated"},
            {"type": "Draining", "status": "True", "message": "chat-1 finishes 4 streams"},
        ],
        "rollout": {"revision": "new", "streamsFinished": 7, "dropped": 0},
    }
}


@pytest.mark.parametrize(
    ("made", "rows", "done"),
    [
        pytest.param(workload(), [row("a")], True, id="all is new, ready and nobody leaves"),
        pytest.param(workload(updated=2), [row("a")], False, id="one is outdated"),
        pytest.param(workload(ready=2), [row("a")], False, id="one is not ready"),
        pytest.param(workload(current=4), [row("a")], False, id="a surplus pod is there"),
        pytest.param(workload(observed=1), [row("a")], False, id="the controller has not seen the change"),
        pytest.param(workload(), [row("a", terminating=True)], False, id="one still finishes its streams"),
    ],
)
def test_a_rollout_is_over_when_nothing_of_it_is_left(made, rows, done):
    assert progress(made, None, rows, "new").done is done


def test_why_the_next_one_waits_is_the_policy_s_most_telling_condition():
    now = progress(workload(updated=2), POLICY, [row("a", in_flight=4, terminating=True), row("b", in_flight=1)], "new")
    assert now.sentence == (
        "deployment/chat: 2 of 3 updated, 1 ending, 5 in flight, 7 finished, 0 dropped (chat-1 finishes 4 streams)"
    )


def test_without_a_policy_s_word_held_pods_are_named():
    now = progress(workload(updated=2), None, [row("b", held="2026-11-22T10:00:00Z"), row("a")], "new")
    assert now.waits_for == "held: b"


def test_at_rest_nothing_waits_whatever_the_conditions_say():
    assert (
        progress(workload(), policy({**OPEN, "finishedAt": "2026-11-22T10:00:00Z"}), [row("a")], "new").waits_for == ""
    )
    assert progress(workload(), policy(OPEN), [row("a")], "new").waits_for == "the controller closes its account"


OPEN = {"revision": "new", "streamsFinished": 7, "dropped": 2}


def policy(rollout, accepted="True"):
    conditions = [
        {"type": "Progressing", "status": "True", "message": "2 of 3 updated"},
        {"type": "Accepted", "status": accepted, "message": ""},
    ]
    return {"status": {"conditions": conditions, **({} if rollout is None else {"rollout": rollout})}}


@pytest.mark.parametrize(
    ("found", "account", "dropped"),
    [
        pytest.param(None, Account.NOBODY, None, id="no policy"),
        pytest.param(policy(OPEN, accepted="False"), Account.NOBODY, None, id="a policy that is not in force"),
        pytest.param({}, Account.NONE, None, id="a policy that nobody has looked at"),
        pytest.param(policy(None), Account.NONE, None, id="no rollout so far"),
        pytest.param(policy({**OPEN, "revision": "old"}), Account.EARLIER, None, id="another rollout's drops"),
        pytest.param(policy(OPEN), Account.OPEN, 2, id="not over"),
        pytest.param(policy({**OPEN, "finishedAt": "2026-11-22T10:00:00Z"}), Account.CLOSED, 2, id="over"),
    ],
)
def test_only_the_account_of_this_very_revision_is_told(found, account, dropped):
    now = progress(workload(), found, [row("a")], "new")
    assert (now.account, now.dropped) == (account, dropped)


def look(found, *, done=True, older=False):
    rows = [row("a", revision="old" if older else "new")]
    return progress(workload(updated=3 if done else 2), found, rows, "new")


@pytest.mark.parametrize(
    ("found", "older", "waits"),
    [
        pytest.param(None, True, False, id="nobody counts"),
        pytest.param(policy(None), False, False, id="a first installation is no rollout"),
        pytest.param(policy(None), True, True, id="the controller has not seen the rollout yet"),
        pytest.param(policy({**OPEN, "revision": "old"}), False, True, id="the account is an earlier rollout's"),
        pytest.param(policy(OPEN), False, True, id="the account is not closed"),
        pytest.param(policy({**OPEN, "finishedAt": "2026-11-22T10:00:00Z"}), True, False, id="it is"),
    ],
)
def test_a_rollout_that_is_through_waits_for_its_account_as_long_as_one_is_owed_and_no_longer_than_the_bound(
    found, older, waits
):
    patience = Patience(Pace(verdict_seconds=10))
    assert not patience.over(look(found, done=False, older=older), 100.0)
    assert patience.over(look(found), 200.0) is not waits
    assert patience.over(look(found), 209.9) is not waits
    assert patience.over(look(found), 210.0)
    assert patience.owed(look(found)) is waits


def test_the_bound_begins_anew_when_something_moves_again():
    patience = Patience(Pace(verdict_seconds=10))
    assert not patience.over(look(policy(OPEN)), 0.0)
    assert not patience.over(look(policy(OPEN), done=False), 9.0)
    assert not patience.over(look(policy(OPEN)), 11.0)
    assert patience.over(look(policy(OPEN)), 21.0)


def test_silence_is_borne_for_a_while_from_the_last_answer_on():
    patience = Patience(Pace(unanswered_seconds=10))
    assert not patience.unanswered(0.0)
    assert not patience.unanswered(9.0)
    assert not patience.over(look(None, done=False), 9.5)
    assert not patience.unanswered(10.0)
    assert patience.unanswered(20.0)


def proxy(*conditions, observed=1):
    listed = [{"type": kind, "status": status, "message": f"{kind} it is"} for kind, status in conditions]
    return {
        "metadata": {"namespace": "llm", "name": "chat", "generation": 1},
        "status": {"observedGeneration": observed, "conditions": listed},
    }


@pytest.mark.parametrize(
    ("conditions", "marks"),
    [
        pytest.param([("Accepted", "True"), ("Bypassed", "False")], [Mark.OK], id="all good"),
        pytest.param([("Accepted", "False")], [Mark.FAIL], id="bad when false"),
        pytest.param([("Bypassed", "True"), ("PortConflict", "True")], [Mark.FAIL, Mark.FAIL], id="bad when true"),
        pytest.param([("ProgressDeadlineTooShort", "True")], [Mark.WARN], id="a paced rollout will be called failed"),
        pytest.param([("KeyUnusable", "True")], [Mark.FAIL], id="no drain can be leased"),
        pytest.param([("Configured", "Unknown")], [Mark.OK], id="unknown is no verdict"),
    ],
)
def test_conditions_are_told_by_what_they_mean(conditions, marks):
    assert [finding.mark for finding in condition_findings(proxy(*conditions), "StreamProxy")] == marks


def test_an_object_that_nobody_has_looked_at_is_told():
    (first, _) = condition_findings(proxy(("Accepted", "True"), observed=0), "StreamProxy")
    assert first.mark is Mark.WARN
    assert first.subject == "streamproxy/llm/chat"


def test_a_webhook_without_authority_fails_and_none_at_all_fails_with_what_is_lost():
    bare = {"metadata": {"name": "lastcall-injection"}, "webhooks": [{"name": "a.b", "clientConfig": {}}]}
    whole = {"metadata": {"name": "x"}, "webhooks": [{"name": "a.b", "clientConfig": {"caBundle": "YQ=="}}]}
    found = webhook_findings([bare, whole], "hooks", "absent", "loss")
    assert [finding.mark for finding in found] == [Mark.FAIL, Mark.OK]
    assert "no caBundle yet in a.b: loss" in found[0].text
    (finding,) = webhook_findings([], "hooks", "labelled pods start without a sidecar", "loss")
    assert finding.mark is Mark.FAIL
    assert finding.text == "none of Lastcall's is there: labelled pods start without a sidecar"


def injecting(*expressions):
    hook = {"name": "a", "namespaceSelector": {"matchExpressions": list(expressions)}}
    return [{"metadata": {"name": "lastcall-injection"}, "webhooks": [hook]}]


def only(operator, *values, key="kubernetes.io/metadata.name"):
    return {"key": key, "operator": operator, "values": list(values)}


@pytest.mark.parametrize(
    ("configurations", "words"),
    [
        pytest.param([], "no webhook of Lastcall's injects", id="no webhook"),
        pytest.param(injecting(only("NotIn", "kube-system", "llm")), "not asked about the namespace llm", id="its own"),
        pytest.param(injecting(only("In", "team-a")), "not asked about the namespace llm", id="others only"),
        pytest.param(injecting(only("NotIn", "kube-system")), "restart its workload", id="asked"),
        pytest.param(injecting(only("In", "llm")), "restart its workload", id="named"),
        pytest.param(injecting(only("In", "x", key="team")), "restart its workload", id="another label"),
        pytest.param(None, "restart its workload", id="may not be read"),
    ],
)
def test_a_pod_without_its_sidecar_is_told_why(configurations, words):
    pod = {"metadata": {"name": "chat-1", "namespace": "llm"}}
    assert words in why_plain(pod, configurations)


def test_a_grace_beyond_the_autoscaler_s_is_warned_of_once():
    pods = [{"spec": {"terminationGracePeriodSeconds": seconds}} for seconds in (30, 1985, 1985)]
    found = grace_findings(pods)
    assert [finding.mark for finding in found] == [Mark.OK, Mark.WARN]
    assert "2 pods" in found[1].text


@pytest.mark.parametrize(
    ("evictions", "nodes", "named"),
    [
        (["Hold", "Allow"], 3, "in a"),
        ([None, "Hold"], 1, "in a, b"),
        (["Allow"], 3, None),
        ([], 3, None),
        (["Hold"], 0, None),
    ],
    ids=["held", "by default", "allowed", "no policy", "not AKS"],
)
def test_aks_is_warned_of_where_evictions_are_held(evictions, nodes, named):
    policies = [
        {"metadata": {"name": name}, "spec": {} if value is None else {"evictions": value}}
        for name, value in zip("ab", evictions, strict=False)
    ]
    found = aks_findings(policies, [{}] * nodes)
    assert [finding.mark for finding in found] == ([] if named is None else [Mark.WARN])
    assert all(finding.text.endswith(f"evictions: Allow {named}") for finding in found)


def test_pods_whose_streamproxy_is_gone_are_named():
    def user(name, proxy, phase="Running"):
        annotations = {} if proxy is None else {"lastcall.dev/stream-proxy": proxy}
        return {
            "metadata": {"name": name, "namespace": "llm", "annotations": annotations},
            "status": {"phase": phase},
        }

    pods = [user("a", "gone"), user("b", "gone"), user("c", "chat"), user("d", None), user("e", "gone", "Succeeded")]
    (found,) = gone_findings(pods, {("llm", "chat"), ("other", "gone")})
    assert (found.mark, found.subject) == (Mark.WARN, "streamproxy/llm/gone")
    assert "2 of its pods live" in found.text
    assert "ConfigMap lastcall-gone" in found.text
    assert found.text.endswith("a, b")
