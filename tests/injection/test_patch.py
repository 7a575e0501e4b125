"""A JSON patch makes after of before, and is small."""

from copy import deepcopy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lastcall_operator.injection import json_patch

_leaves = st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from(["", "a", "b"])
_values = st.recursive(
    _leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["a", "b", "a/b", "~", "~1", ""]), inner, max_size=3)
    ),
    max_leaves=12,
)


def applied(document, patch):
    """RFC 6902, word by word."""
    holder = {"root": deepcopy(document)}
    for operation in patch:
        *way, last = ["root", *operation["path"].split("/")[1:]]
        target = holder
        for step in way:
            target = (
                target[int(step)] if isinstance(target, list) else target[step.replace("~1", "/").replace("~0", "~")]
            )
        key = int(last) if isinstance(target, list) else last.replace("~1", "/").replace("~0", "~")
        match operation["op"]:
            case "remove":
                del target[key]
            case "add" if isinstance(target, list):
                assert key <= len(target)
                target.insert(key, operation["value"])
            case "add":
                assert key not in target
                target[key] = operation["value"]
            case "replace":
                target[key]
                target[key] = operation["value"]
    return holder["root"]


@settings(max_examples=400, deadline=None)
@given(_values, _values)
def test_it_makes_after_of_before(before, after):
    kept = deepcopy(before)
    assert repr(sort(applied(before, json_patch(before, after)))) == repr(sort(after))
    assert before == kept


def sort(value):
    """Objects in one order: `repr` then tells true from 1."""
    if isinstance(value, dict):
        return {key: sort(value[key]) for key in sorted(value)}
    return [sort(item) for item in value] if isinstance(value, list) else value


@given(_values)
def test_the_same_needs_no_patch(value):
    assert json_patch(value, deepcopy(value)) == []


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param([1, 2], [0, 1, 2], [{"op": "add", "path": "/0", "value": 0}], id="first of a list"),
        pytest.param([1, 2], [1, 2, 3], [{"op": "add", "path": "/2", "value": 3}], id="last of a list"),
        pytest.param(
            [1, 2, 3, 4], [1, 4], [{"op": "remove", "path": "/2"}, {"op": "remove", "path": "/1"}], id="from the middle"
        ),
        pytest.param({"a": 1, "b": 2}, {"b": 2}, [{"op": "remove", "path": "/a"}], id="a field that is gone"),
        pytest.param({"a": 1}, {"a": True}, [{"op": "replace", "path": "/a", "value": True}], id="true is not 1"),
        pytest.param(
            {"m": {"x/y~z": 1}},
            {"m": {"x/y~z": 2}},
            [{"op": "replace", "path": "/m/x~1y~0z", "value": 2}],
            id="escaped",
        ),
        pytest.param(
            [{"name": "a", "ports": [1]}, {"name": "b"}],
            [{"name": "a", "ports": [1], "env": []}, {"name": "b"}],
            [{"op": "add", "path": "/0/env", "value": []}],
            id="within an element",
        ),
    ],
)
def test_it_is_small(before, after, expected):
    assert json_patch(before, after) == expected
