"""Lists of models: one shape for both vendors' SDKs, merged, and page by page."""

import json

import anthropic.types
import openai.types
import pytest

from lastcall_sidecar.wire import models
from lastcall_sidecar.wire.body import BodyError
from lastcall_sidecar.wire.translation import TranslationError

ANTHROPICS = {
    "type": "model",
    "id": "claude-sonnet-4-6",
    "display_name": "Claude Sonnet 4.6",
    "created_at": "2026-02-17T00:00:00Z",
    "max_input_tokens": 200000,
}
OPENAIS = {"id": "gpt-4o", "object": "model", "created": 1715367049, "owned_by": "system"}


def listed(*told, **fields):
    return json.dumps({"data": told, **fields}).encode()


@pytest.mark.parametrize("told", [ANTHROPICS, OPENAIS, {"id": "bare", "price": 0.25}], ids=lambda told: told["id"])
def test_every_entry_is_one_for_both_sdks(told):
    ((entry,), more) = models.entries(listed(told), "somebody")
    assert more is None
    assert anthropic.types.ModelInfo.model_validate(entry).id == told["id"]
    assert openai.types.Model.model_validate(entry).id == told["id"]
    assert entry.items() >= told.items()


def test_times_are_the_same_in_both_notations():
    assert models.entry(json.dumps(ANTHROPICS).encode(), "anthropic")["created"] == 1771286400
    assert models.entry(json.dumps(OPENAIS).encode(), "openai")["created_at"] == "2024-05-10T18:50:49Z"


@pytest.mark.parametrize(
    ("told", "seconds", "moment"),
    [
        pytest.param({"created_at": "last year"}, 0, "last year", id="no time"),
        pytest.param({"created": -1}, 0, "1970-01-01T00:00:00Z", id="before all time"),
        pytest.param({"created": 2**40}, 0, "1970-01-01T00:00:00Z", id="after all time"),
        pytest.param({"created": "1"}, 0, "1970-01-01T00:00:00Z", id="text"),
        pytest.param({}, 0, "1970-01-01T00:00:00Z", id="nothing"),
    ],
)
def test_odd_times_do_no_harm(told, seconds, moment):
    entry = models.entry(json.dumps({"id": "m", **told}).encode(), "x")
    assert (entry["created"], entry["created_at"]) == (seconds, moment)


def test_an_owner_is_named_where_the_upstream_names_none():
    assert models.entry(json.dumps(ANTHROPICS).encode(), "anthropic")["owned_by"] == "anthropic"
    assert models.entry(json.dumps(OPENAIS).encode(), "openai")["owned_by"] == "system"
    assert models.configured(["mine"])[0]["owned_by"] == "lastcall"


def test_the_next_page_is_known():
    assert models.entries(listed(OPENAIS, has_more=True, last_id="gpt-4o"), "x")[1] == "gpt-4o"
    assert models.entries(listed(OPENAIS, has_more=False, last_id="gpt-4o"), "x")[1] is None
    assert models.entries(listed(OPENAIS, has_more=True, last_id=None), "x")[1] is None


@pytest.mark.parametrize(
    "body",
    [
        *(
            b"",
            b"{",
            b"[" * 200_000,
            b"[]",
            b"{}",
            b'{"data": {}}',
            listed(1),
            listed({"id": 1}),
            listed({"name": "x"}),
        ),
        *(b'{"data": [], "x": NaN}', b'{"data": [], "x": -Infinity}', b'{"data": [], "x": 1e400}'),
    ],
    ids=[
        *("nothing", "cut", "deep", "a list", "no data", "data is none", "a number", "a bad id", "no id"),
        *("no JSON", "no JSON either", "a number that nobody can write again"),
    ],
)
def test_what_is_no_list_is_said_to_be_none(body):
    with pytest.raises(TranslationError):
        models.entries(body, "x")


def test_the_first_that_has_a_name_tells_of_it():
    one, other = models.configured(["a", "b"]), [{**models.configured(["b"])[0], "owned_by": "other"}]
    both = models.merged([one, other, models.configured(["c"])])
    assert [(each["id"], each["owned_by"]) for each in both] == [(x, "lastcall") for x in "abc"]


EVERY = models.configured("abcde")


@pytest.mark.parametrize(
    ("query", "ids", "more"),
    [
        pytest.param({}, "abcde", False, id="all"),
        pytest.param({"limit": "2"}, "ab", True, id="the first page"),
        pytest.param({"limit": "5"}, "abcde", False, id="just all"),
        pytest.param({"limit": "1000"}, "abcde", False, id="more than all"),
        pytest.param({"after_id": "b"}, "cde", False, id="the rest"),
        pytest.param({"after_id": "b", "limit": "2"}, "cd", True, id="the next page"),
        pytest.param({"after_id": "e"}, "", False, id="behind the last"),
        pytest.param({"before_id": "d"}, "abc", False, id="the beginning"),
        pytest.param({"before_id": "d", "limit": "2"}, "bc", True, id="the page before"),
        pytest.param({"before_id": "a", "limit": "2"}, "", False, id="before the first"),
        pytest.param({"after_id": "a", "before_id": "e", "limit": "2"}, "cd", True, id="between"),
    ],
)
def test_pages(query, ids, more):
    told = models.page(EVERY, query)
    assert "".join(each["id"] for each in told["data"]) == ids
    assert told["has_more"] is more
    assert (told["first_id"], told["last_id"]) == ((ids[0], ids[-1]) if ids else (None, None))


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"limit": "0"}, "limit: must be a number from 1 to 1000"),
        ({"limit": "1001"}, "limit: must be a number from 1 to 1000"),
        ({"limit": "9" * 5000}, "limit: must be a number from 1 to 1000"),
        ({"limit": "00001"}, "limit: must be a number from 1 to 1000"),
        ({"limit": "-1"}, "limit: must be a number from 1 to 1000"),
        ({"limit": "٣"}, "limit: must be a number from 1 to 1000"),
        ({"after_id": "z"}, "after_id: there is no such model in this list"),
        ({"before_id": "z"}, "before_id: there is no such model in this list"),
    ],
)
def test_nonsense_is_refused_by_name(query, says):
    with pytest.raises(BodyError, match=says):
        models.page(EVERY, query)
