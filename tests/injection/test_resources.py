"""The sidecar's resources, and the pod's class of service."""

from fractions import Fraction

import pytest
from tests.injection.pods import DEFAULTS, app, pod, proxy, sidecar

from lastcall_operator.api.streamproxy import Resources
from lastcall_operator.injection import inject
from lastcall_operator.injection.resources import quantity, sidecar_resources

FIXED = {"limits": {"cpu": "1", "memory": "1Gi"}}


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("100m", Fraction(1, 10)),
        ("1", 1),
        (2, 2),
        ("0.5", Fraction(1, 2)),
        (".5", Fraction(1, 2)),
        ("1.5Gi", 1536 * 1024 * 1024),
        ("1k", 1000),
        ("1e3", 1000),
        ("5E", 5 * 10**18),
        ("1Ei", 1024**6),
        ("3n", Fraction(3, 10**9)),
    ],
)
def test_quantities(text, number):
    assert quantity(text) == number


@pytest.mark.parametrize("text", ["", "lots", "1 Gi", "1KB", None, "1e999", "0x10"])
def test_what_is_no_quantity(text):
    with pytest.raises(ValueError, match="is no quantity"):
        quantity(text)


@pytest.mark.parametrize(
    ("asked", "requests", "limits"),
    [
        pytest.param({}, {"cpu": "100m", "memory": "128Mi"}, {"memory": "512Mi"}, id="defaults"),
        pytest.param(
            {"limits": {"cpu": "2"}},
            {"cpu": "100m", "memory": "128Mi"},
            {"memory": "512Mi", "cpu": "2"},
            id="over them",
        ),
        pytest.param(
            {"limits": {"memory": "64Mi"}}, {"cpu": "100m", "memory": "64Mi"}, {"memory": "64Mi"}, id="a small limit"
        ),
        pytest.param(
            {"requests": {"memory": "1Gi"}}, {"cpu": "100m", "memory": "1Gi"}, {"memory": "1Gi"}, id="a large request"
        ),
    ],
)
def test_what_is_asked_for_goes_over_the_defaults(asked, requests, limits):
    assert sidecar_resources(Resources(**asked), guaranteed=False) == {"requests": requests, "limits": limits}


@pytest.mark.parametrize(
    ("asked", "cpu", "memory"),
    [
        pytest.param({}, "500m", "512Mi", id="defaults"),
        pytest.param({"requests": {"cpu": "250m"}}, "250m", "512Mi", id="CPU requested"),
        pytest.param({"limits": {"cpu": "2", "memory": "1Gi"}}, "2", "1Gi", id="limits"),
    ],
)
def test_in_a_guaranteed_pod_requests_are_limits(asked, cpu, memory):
    made = sidecar_resources(Resources(**asked), guaranteed=True)
    assert made["requests"] == made["limits"] == {"cpu": cpu, "memory": memory}


@pytest.mark.parametrize(
    ("containers", "guaranteed"),
    [
        pytest.param([app(resources=FIXED)], True, id="limits alone"),
        pytest.param([app(resources={**FIXED, "requests": {"cpu": "1000m", "memory": "1024Mi"}})], True, id="equal"),
        pytest.param([app(resources={**FIXED, "requests": {"cpu": "1"}})], True, id="one of them named"),
        pytest.param([app(resources={**FIXED, "requests": {"cpu": "500m"}})], False, id="less requested"),
        pytest.param([app(resources=FIXED), app("b", ports=[])], False, id="one has none"),
        pytest.param([app(resources={"limits": {"cpu": "1"}})], False, id="no memory"),
        pytest.param([app(resources={"limits": {"cpu": "0", "memory": "1Gi"}})], False, id="nothing"),
        pytest.param([app(resources={"limits": {"cpu": "lots", "memory": "1Gi"}})], False, id="no quantity"),
        pytest.param([app()], False, id="best effort"),
    ],
)
def test_the_pod_keeps_its_class(containers, guaranteed):
    made = sidecar(inject(pod(*containers), proxy(), DEFAULTS).pod)["resources"]
    assert (made["requests"] == made["limits"]) is guaranteed


@pytest.mark.parametrize(
    "spec",
    [{"initContainers": [{"name": "i", "resources": {}}]}, {"resources": FIXED}],
    ids=["an init container without limits", "resources of the whole pod"],
)
def test_a_pod_that_is_not_guaranteed_by_its_containers_gets_the_defaults(spec):
    made = sidecar(inject(pod(app(resources=FIXED), **spec), proxy(), DEFAULTS).pod)["resources"]
    assert made == {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}}
