"""AdmissionReviews as the API server sends them, and as nobody should."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastcall_operator.removal import Allow, Kind, Refuse, Removal
from lastcall_operator.removal.review import ALL_CONTROLLERS, ReviewError, answer, asked, uid_of

REPLICA_SETS = "system:serviceaccount:kube-system:replicaset-controller"
STATEFUL_SETS = "system:serviceaccount:kube-system:statefulset-controller"
POD = {
    "metadata": {
        "name": "chat-1",
        "namespace": "prod",
        "uid": "pod-uid",
        "ownerReferences": [
            {"apiVersion": "v1", "kind": "Node", "name": "n"},
            {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "chat", "uid": "rs", "controller": True},
        ],
    }
}


def review(**request):
    """A review of a request for pods."""
    request = {"uid": "r-1", "resource": {"group": "", "version": "v1", "resource": "pods"}} | request
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


def deletion(user=REPLICA_SETS, owner=None, options=None, **request):
    """A pod's deletion, the object itself null, as Go writes it."""
    pod = copy.deepcopy(POD)
    pod["metadata"]["ownerReferences"][1] |= owner or {}
    return review(
        **{
            "operation": "DELETE",
            "name": "chat-1",
            "namespace": "prod",
            "object": None,
            "oldObject": pod,
            "userInfo": {"username": user},
            "dryRun": False,
            "options": options,
        }
        | request
    )


def eviction(options=None, **request):
    """An eviction by whomever."""
    evicted = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "chat-1", "namespace": "prod"}}
    return review(
        **{
            "operation": "CREATE",
            "subResource": "eviction",
            "name": "chat-1",
            "namespace": "prod",
            "object": evicted | ({} if options is None else {"deleteOptions": options}),
            "userInfo": {"username": "admin"},
        }
        | request
    )


OF_STATEFUL_SET = {"kind": "StatefulSet"}


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        pytest.param(deletion(), Kind.REPLICA_SET, id="the ReplicaSet controller"),
        pytest.param(deletion(STATEFUL_SETS, OF_STATEFUL_SET), Kind.STATEFUL_SET, id="the StatefulSet controller"),
        pytest.param(deletion(ALL_CONTROLLERS), Kind.REPLICA_SET, id="the one user, a ReplicaSet's pod"),
        pytest.param(deletion(ALL_CONTROLLERS, OF_STATEFUL_SET), Kind.STATEFUL_SET, id="a StatefulSet's pod"),
        pytest.param(deletion(ALL_CONTROLLERS, {"kind": "Job"}), None, id="a Job's pod"),
        pytest.param(deletion(ALL_CONTROLLERS, options={"gracePeriodSeconds": 0}), None, id="the pod collector"),
        pytest.param(
            deletion(ALL_CONTROLLERS, options={"preconditions": {"uid": "pod-uid"}}), None, id="the garbage collector"
        ),
        pytest.param(
            deletion(ALL_CONTROLLERS, options={"propagationPolicy": "Background"}), None, id="the end of a namespace"
        ),
        pytest.param(deletion("admin"), None, id="a person"),
        pytest.param(deletion(None), None, id="nobody"),
        pytest.param(deletion(["admin"]), None, id="no name at all"),
        pytest.param(deletion(STATEFUL_SETS), None, id="a controller that is not the owner's"),
        pytest.param(deletion(owner={"kind": "Job"}), None, id="an owner of another kind"),
        pytest.param(deletion(owner={"apiVersion": "apps.kruise.io/v1"}), None, id="an owner of another group"),
        pytest.param(deletion(owner={"controller": False}), None, id="an owner that is no controller"),
        pytest.param(deletion(oldObject={"metadata": {"name": "x", "uid": "y"}}), None, id="no owner"),
        pytest.param(deletion(operation="CREATE"), None, id="a creation"),
        pytest.param(deletion(subResource="status"), None, id="a part of a pod"),
        pytest.param(
            deletion(resource={"group": "apps", "version": "v1", "resource": "deployments"}), None, id="no pod"
        ),
        pytest.param(
            deletion(resource={"group": "metrics.k8s.io", "version": "v1", "resource": "pods"}), None, id="other pods"
        ),
        pytest.param(eviction(), Kind.EVICTION, id="an eviction"),
        pytest.param(eviction(operation="CONNECT"), None, id="no creation of one"),
    ],
)
def test_whose_removal_it_is(found, kind):
    removal = asked(found)
    assert (removal and removal.kind) is kind


def test_a_deletion_shows_its_pod():
    found = asked(deletion())
    assert (found.review, found.namespace, found.name, found.uid, found.pod) == (
        "r-1",
        "prod",
        "chat-1",
        "pod-uid",
        POD,
    )
    assert found.removal("pod-uid") == Removal(Kind.REPLICA_SET, "pod-uid")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(eviction(), (None, None, False), id="plain"),
        pytest.param(eviction({"gracePeriodSeconds": 30}), (None, 30.0, False), id="with a grace"),
        pytest.param(eviction({"gracePeriodSeconds": 0}), (None, 0.0, False), id="without grace"),
        pytest.param(eviction({"preconditions": {"uid": "pod-uid"}}), ("pod-uid", None, False), id="of one very pod"),
        pytest.param(eviction({"preconditions": {"uid": None}}), (None, None, False), id="of any pod"),
        pytest.param(eviction({"dryRun": ["All"]}), (None, None, True), id="dry run inside, as kubectl drain does"),
        pytest.param(eviction(dryRun=True), (None, None, True), id="dry run outside"),
        pytest.param(eviction({"dryRun": []}, dryRun=False), (None, None, False), id="no dry run"),
    ],
)
def test_an_eviction_shows_its_options(found, expected):
    removal = asked(found)
    assert (removal.uid, removal.grace_seconds, removal.dry_run) == expected
    assert (removal.namespace, removal.name, removal.pod) == ("prod", "chat-1", None)
    assert removal.removal("u") == Removal(Kind.EVICTION, "u", expected[1], expected[2])


@pytest.mark.parametrize("found", [eviction(name=""), deletion(name="")], ids=["eviction", "of a collection"])
def test_the_name_is_the_objects_own_where_the_request_has_none(found):
    assert asked(found).name == "chat-1"


BAD = [
    pytest.param(None, "not an AdmissionReview", id="nothing"),
    pytest.param([], "not an AdmissionReview", id="a list"),
    pytest.param({"apiVersion": "admission.k8s.io/v1beta1"}, "not an AdmissionReview", id="another version"),
    pytest.param({"apiVersion": "admission.k8s.io/v1"}, "uid is missing", id="no request"),
    pytest.param({"apiVersion": "admission.k8s.io/v1", "request": 7}, "request is no object", id="a number"),
    pytest.param(review(uid=""), "uid is missing", id="an empty uid"),
    pytest.param(review(resource="pods"), "resource is no object", id="a resource in one word"),
    pytest.param(deletion(userInfo="admin"), "userInfo is no object", id="a user in one word"),
    pytest.param(deletion(oldObject={"metadata": {"ownerReferences": {}}}), "is no list", id="owners as an object"),
    pytest.param(deletion(namespace=None), "namespace is missing", id="no namespace"),
    pytest.param(eviction([]), "deleteOptions is no object", id="options as a list"),
    pytest.param(eviction({"gracePeriodSeconds": "30"}), "no whole number: '30'", id="a grace in words"),
    pytest.param(eviction({"gracePeriodSeconds": True}), "no whole number: True", id="a grace of yes"),
    pytest.param(eviction({"dryRun": "All"}), "dryRun is no list", id="dry run in one word"),
    pytest.param(eviction(name=None, object={}), "name is missing", id="an eviction of nobody"),
]


@pytest.mark.parametrize(("found", "complaint"), BAD)
def test_what_is_no_review_is_said_so(found, complaint):
    with pytest.raises(ReviewError, match=complaint):
        asked(found)


def test_owners_that_are_no_objects_own_nothing():
    assert asked(deletion(oldObject={"metadata": {"ownerReferences": ["me", 7]}})) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda some: st.dictionaries(st.text(), some)
)


@given(st.data())
def test_reading_fails_in_one_way_only(data):
    found = data.draw(st.sampled_from([deletion(), eviction({"gracePeriodSeconds": 3, "preconditions": {}})]))
    found = copy.deepcopy(found)
    part = found["request"]
    if data.draw(st.booleans()):
        part = part["object"] or part["oldObject"]["metadata"]
    part[data.draw(st.sampled_from(sorted(part)))] = data.draw(JSON)
    try:
        removal = asked(found)
    except ReviewError:
        return
    assert removal is None or removal.name


def test_the_uid_for_an_answer_is_read_alone():
    assert uid_of(review()) == "r-1"
    with pytest.raises(ReviewError):
        uid_of({})


@pytest.mark.parametrize(
    ("decision", "kind", "expected"),
    [
        pytest.param(Allow("idle"), Kind.EVICTION, None, id="allowed"),
        pytest.param(Allow("not ours"), None, None, id="not ours"),
        pytest.param(Refuse("3 streams"), Kind.EVICTION, (429, "TooManyRequests"), id="eviction refused"),
        pytest.param(Refuse("3 streams"), Kind.REPLICA_SET, (409, "Conflict"), id="delete refused"),
        pytest.param(Refuse("3 streams"), Kind.STATEFUL_SET, (409, "Conflict"), id="ordered delete refused"),
    ],
)
def test_the_answer(decision, kind, expected):
    found = answer("r-1", decision, kind)
    response = found.pop("response")
    assert found == {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}
    assert response["uid"] == "r-1"
    assert response["allowed"] is (expected is None)
    assert response["auditAnnotations"] == {"decision": type(decision).__name__, "why": decision.why}
    if expected is None:
        assert "status" not in response
    else:
        code, reason = expected
        status = {"status": "Failure", "code": code, "reason": reason, "message": decision.why}
        assert response["status"] == status, "no details: client-go would repeat the request in silence"
