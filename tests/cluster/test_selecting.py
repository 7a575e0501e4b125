"""Label selectors: as a query, and matched here."""

import pytest

from lastcall_operator.cluster.selecting import selector_query, selects

LABELS = {"app": "chat", "tier": "gold"}


def expression(key, operator, *values):
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize(
    ("selector", "matches", "query"),
    [
        pytest.param({}, True, "", id="an empty one selects everything"),
        pytest.param({"matchLabels": {"app": "chat"}}, True, "app=chat", id="a label"),
        pytest.param({"matchLabels": {"app": "chat", "tier": "tin"}}, False, "app=chat,tier=tin", id="one differs"),
        pytest.param(expression("app", "In", "chat", "a"), True, "app in (a,chat)", id="in"),
        pytest.param(expression("app", "In", "a"), False, "app in (a)", id="not in the values"),
        pytest.param(expression("app", "NotIn", "chat"), False, "app notin (chat)", id="notin"),
        pytest.param(expression("zone", "NotIn", "a"), True, "zone notin (a)", id="notin, without the label"),
        pytest.param(expression("app", "Exists"), True, "app", id="exists"),
        pytest.param(expression("zone", "Exists"), False, "zone", id="exists, without the label"),
        pytest.param(expression("zone", "DoesNotExist"), True, "!zone", id="does not exist"),
        pytest.param(expression("app", "DoesNotExist"), False, "!app", id="does not exist, with the label"),
    ],
)
def test_a_selector_selects_as_kubernetes_does(selector, matches, query):
    assert selects(selector, LABELS) is matches
    assert selector_query(selector) == query


def test_no_selector_selects_nothing():
    assert not selects(None, LABELS)
