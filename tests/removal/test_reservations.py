"""What two webhooks agree through: an annotation that tolerates anything."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.removal.views import NOW, eviction, replica_set, stateful_set

from lastcall_operator.removal import Allow, Refuse
from lastcall_operator.removal.reservations import (
    LIMIT,
    Reserved,
    Span,
    add,
    after,
    at_rest,
    full,
    held_since,
    leased,
    of_kind,
    parse,
    render,
)

GO, LEASE, HELD, WANTED = Reserved.REMOVAL, Reserved.LEASE, Reserved.HELD, Reserved.WANTED
#: a refusal is remembered for 20 minutes
REMEMBERED = NOW + 1200


def entries(**spans):
    """Reservations for the pod `a`: until when, or from when and until when; they begin now."""
    found = {kind: span if isinstance(span, tuple) else (NOW, span) for kind, span in spans.items()}
    return {("uid-a", Reserved(kind)): Span(*span) for kind, span in found.items()}


def spans(kinds=Reserved):
    return st.dictionaries(
        st.tuples(st.text(min_size=1), st.sampled_from(kinds)),
        st.builds(Span, st.floats(0, NOW), st.floats(NOW + 0.001, NOW + 60)),
        max_size=20,
    )


@given(spans())
def test_what_is_written_is_read(reservations):
    assert parse(render(reservations), NOW) == reservations


def test_it_is_written_as_other_programs_read_it():
    both = entries(lease=(1.0, 2.5)) | entries(held=(1.0, 3.0)) | {("uid-0", GO): Span(0.5, 1.0)}
    assert render(both) == '{"uid-0":{"removal":[0.5,1.0]},"uid-a":{"held":[1.0,3.0],"lease":[1.0,2.5]}}'


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "{",
        "[]",
        "7",
        "null",
        '{"uid-a":7}',
        '{"uid-a":null}',
        '{"uid-a":{"removal":"soon"}}',
        '{"uid-a":{"removal":10005}}',
        '{"uid-a":{"removal":null}}',
        '{"uid-a":{"removal":[1]}}',
        '{"uid-a":{"removal":[1,10005,1]}}',
        '{"uid-a":{"removal":[true,10005]}}',
        '{"uid-a":{"removal":["1",10005]}}',
        '{"uid-a":{"removal":[NaN,10005]}}',
        '{"uid-a":{"removal":[1,NaN]}}',
        '{"uid-a":{"held":[1,Infinity]}}',
        '{"uid-a":{"wish":[1,10001]}}',
        "[" * 100_000,
        pytest.param('{"uid-a":{"removal":[10009,10005]}}', id="one that ends before it begins"),
        pytest.param(f'{{"uid-a":{{"removal":[1,{NOW + 71}]}}}}', id="a removal that lasts too long to be ours"),
        pytest.param(f'{{"uid-a":{{"lease":[1,{NOW + 151}]}}}}', id="a lease that lasts too long to be ours"),
        pytest.param(f'{{"uid-a":{{"held":[1,{NOW + 1261}]}}}}', id="a hold that lasts too long to be ours"),
    ],
)
def test_what_nobody_can_read_counts_for_nothing(text):
    assert parse(text, NOW) == {}


@given(st.text() | st.recursive(st.none() | st.floats() | st.text(), lambda some: st.dictionaries(st.text(), some)))
def test_reading_never_fails(found):
    assert isinstance(parse(found if isinstance(found, str) else json.dumps(found), NOW), dict)


@pytest.mark.parametrize(("until", "kept"), [(NOW, False), (NOW + 0.1, True)], ids=["run out", "not yet"])
def test_what_has_run_out_is_dropped(until, kept):
    assert bool(parse(render(entries(removal=(1.0, until))), NOW)) is kept


def test_it_never_grows_beyond_its_limit_and_keeps_what_matters():
    crowd = {(f"held-{number}", HELD): Span(NOW - number, NOW + 1000) for number in range(LIMIT)}
    assert full(crowd)
    assert not full(entries(held=REMEMBERED))
    more = add(add(crowd, "uid-a", GO, Span(NOW, NOW + 1)), "uid-b", LEASE, Span(NOW, NOW + 2))
    assert len(more) == len(parse(render(more), NOW)) == LIMIT
    assert of_kind(more, GO) == {"uid-a"}
    assert of_kind(more, LEASE) == {"uid-b"}
    assert crowd.keys() - more.keys() == {("held-0", HELD), ("held-1", HELD)}, "those that began last"
    assert add(crowd, "late", WANTED, Span(NOW, REMEMBERED)) == crowd


def test_removals_that_last_longest_are_kept():
    crowd = {(f"go-{number}", GO): Span(NOW, NOW + 1 + number / LIMIT) for number in range(LIMIT)}
    assert add(crowd, "new", GO, Span(NOW, NOW + 10)).keys() == (crowd.keys() - {("go-0", GO)}) | {("new", GO)}


SET, EVICT = replica_set("a"), eviction("a")
NO = Refuse(".", since=NOW)


@pytest.mark.parametrize(
    ("before", "removal", "decision", "expected"),
    [
        pytest.param({}, SET, Allow("."), entries(removal=NOW + 10), id="allowed"),
        pytest.param(entries(removal=NOW + 1), SET, Allow("."), entries(removal=NOW + 10), id="allowed again"),
        pytest.param(
            entries(removal=NOW + 1), EVICT, Allow("."), entries(removal=NOW + 1), id="an eviction allowed again"
        ),
        pytest.param({}, EVICT, Allow("."), entries(removal=NOW + 10), id="an eviction allowed"),
        pytest.param({}, SET, Allow(".", reserve=False), {}, id="allowed without counting"),
        pytest.param({}, SET, NO, entries(wanted=REMEMBERED), id="a controller's delete refused"),
        pytest.param({}, stateful_set("a"), NO, entries(wanted=REMEMBERED), id="a StatefulSet's, too"),
        pytest.param({}, EVICT, NO, entries(held=REMEMBERED), id="an eviction refused"),
        pytest.param({}, EVICT, Refuse("."), {}, id="refused unseen: others are being decided"),
        pytest.param(
            entries(wanted=REMEMBERED), EVICT, NO, entries(wanted=REMEMBERED, held=REMEMBERED), id="both want it"
        ),
        pytest.param(
            entries(held=(1.0, NOW + 1141)), EVICT, NO, entries(held=(1.0, NOW + 1141)), id="and again: known"
        ),
        pytest.param(
            entries(held=(1.0, NOW + 1139)),
            EVICT,
            Refuse(".", since=1.0),
            entries(held=(1.0, REMEMBERED)),
            id="and again, a minute later: it is wanted still, and since then",
        ),
        pytest.param(
            {},
            EVICT,
            Refuse(".", since=NOW, lease="uid-a"),
            entries(held=REMEMBERED, lease=NOW + 90),
            id="leased",
        ),
        pytest.param({}, replica_set("a", dry_run=True), Allow("."), {}, id="a dry run reserves nothing"),
        pytest.param({}, eviction("a", dry_run=True), Refuse(".", lease="uid-a"), {}, id="nor does a refused one"),
    ],
)
def test_what_a_decision_reserves(before, removal, decision, expected):
    assert after(before, removal, decision, NOW) == expected


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        pytest.param({}, entries(lease=NOW + 90), id="begun"),
        pytest.param(entries(lease=(1.0, NOW + 80)), entries(lease=(1.0, NOW + 80)), id="for long enough"),
        pytest.param(entries(lease=(1.0, NOW + 79)), entries(lease=(1.0, NOW + 90)), id="renewed"),
    ],
)
def test_a_reservation_outlives_every_lease_that_is_asked_for_under_it(before, expected):
    assert leased(before, ["uid-a"], NOW) == expected
    assert leased(before, [], NOW) == before


@pytest.mark.parametrize(
    ("reservations", "since"),
    [
        pytest.param({}, None, id="never"),
        pytest.param(entries(removal=NOW + 1, lease=NOW + 1), None, id="never refused"),
        pytest.param(entries(held=(5.0, REMEMBERED), wanted=(3.0, REMEMBERED)), 3.0, id="by both, the earlier"),
    ],
)
def test_since_when_a_pod_is_held(reservations, since):
    assert held_since(reservations, "uid-a") == since


def test_at_rest_only_evictions_are_remembered():
    all_kinds = entries(removal=NOW + 1, lease=NOW + 1, held=REMEMBERED, wanted=REMEMBERED)
    assert at_rest(all_kinds) == entries(removal=NOW + 1, lease=NOW + 1, held=REMEMBERED)
