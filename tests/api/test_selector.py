"""Selectors match as Kubernetes' do."""

import msgspec
import pytest

from lastcall_operator.api.schema import SpecError
from lastcall_operator.api.selector import Selector

LABELS = {"app": "chat", "tier": "web"}


@pytest.mark.parametrize(
    ("selector", "fits"),
    [
        ({"matchLabels": {"app": "chat"}}, True),
        ({"matchLabels": {"app": "chat", "tier": "db"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["chat", "x"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["x"]}]}, False),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["x"]}]}, True),
        ({"matchExpressions": [{"key": "other", "operator": "NotIn", "values": ["x"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["chat"]}]}, False),
        ({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "other", "operator": "Exists"}]}, False),
        ({"matchExpressions": [{"key": "other", "operator": "DoesNotExist"}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, False),
        ({"matchLabels": {"app": "chat"}, "matchExpressions": [{"key": "x", "operator": "Exists"}]}, False),
        ({}, True),
    ],
    ids=str,
)
def test_a_selector_matches_when_all_of_it_fits(selector, fits):
    assert msgspec.convert(selector, Selector).matches(LABELS) is fits


@pytest.mark.parametrize(
    "labels",
    [
        {"app": ""},
        {"a": "b"},
        {"A_b.c-9": "X_y.z-0"},
        {"app.kubernetes.io/name": "chat"},
        {"example.com/" + "n" * 63: "v" * 63},
    ],
    ids=["no value", "short", "every character", "with a domain", "the longest"],
)
def test_labels_are_what_kubernetes_takes(labels):
    msgspec.convert({"matchLabels": labels}, Selector).check("spec.selector")


@pytest.mark.parametrize(
    "labels",
    [
        {"a b!": "x"},
        {"a": "x y"},
        {"": "x"},
        {"-a": "x"},
        {"a-": "x"},
        {"a": "x."},
        {"Example.com/a": "x"},
        {"example..com/a": "x"},
        {"a/b/c": "x"},
        {"/a": "x"},
        {"n" * 64: "x"},
        {"a": "v" * 64},
    ],
    ids=str,
)
def test_labels_that_no_pod_can_have_are_refused(labels):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"matchLabels": labels}, Selector)
    ((key, value),) = labels.items()
    expression = {"key": key, "operator": "In", "values": [value]}
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"matchExpressions": [expression]}, Selector)


@pytest.mark.parametrize(
    ("operator", "values", "good"),
    [
        ("In", ["x"], True),
        ("In", [], False),
        ("NotIn", ["x"], True),
        ("NotIn", [], False),
        ("Exists", [], True),
        ("Exists", ["x"], False),
        ("DoesNotExist", [], True),
        ("DoesNotExist", ["x"], False),
    ],
)
def test_an_expression_compares_with_something_or_takes_nothing(operator, values, good):
    made = msgspec.convert({"matchExpressions": [{"key": "a", "operator": operator, "values": values}]}, Selector)
    if good:
        made.check("spec.selector")
    else:
        with pytest.raises(SpecError, match=r"spec\.selector\.matchExpressions"):
            made.check("spec.selector")


def test_an_empty_one_means_nobody():
    with pytest.raises(SpecError, match=r"spec\.selector must name a label"):
        Selector().check("spec.selector")
