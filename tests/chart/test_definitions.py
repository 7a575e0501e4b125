"""The definitions of our resources, as the chart brings them."""

from tests.chart.rendering import named, text


def test_definitions_stay_when_the_chart_goes_unless_told_otherwise() -> None:
    kept = named("CustomResourceDefinition")
    assert set(kept) == {"drainpolicies.lastcall.dev", "streamproxies.lastcall.dev"}
    for definition in kept.values():
        assert definition["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    for definition in named("CustomResourceDefinition", {"crds.keep": False}).values():
        assert "helm.sh/resource-policy" not in definition["metadata"].get("annotations", {})


def test_definitions_can_come_from_elsewhere() -> None:
    assert "CustomResourceDefinition" not in text({"crds.enabled": False})
    assert set(named("CustomResourceDefinition", {"operator.enabled": False}))
