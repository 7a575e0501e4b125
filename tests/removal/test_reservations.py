"""What two webhooks agree through: an annotation that tolerates anything."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.removal.views import NOW, eviction, replica_set

from lastcall_operator.removal import Allow, Policy, Refuse
from lastcall_operator.removal.reservations import LIMIT, Reserved, add, after, of_kind, parse, render

GO, LEASE, HELD = Reserved.REMOVAL, Reserved.LEASE, Reserved.HELD
POLICY = Policy(hold_deadline_seconds=3600.0)
REMEMBERED = NOW + 3600 + 1200


def entries(**untils):
    """Reservations for the pod `a`."""
    return {("uid-a", Reserved(kind)): until for kind, until in untils.items()}


@given(
    st.dictionaries(
        st.tuples(st.text(min_size=1), st.sampled_from(Reserved)), st.floats(NOW + 0.001, NOW + 60), max_size=20
    )
)
def test_what_is_written_is_read(reservations):
    assert parse(render(reservations), NOW) == reservations


def test_it_is_written_as_other_programs_read_it():
    both = entries(lease=2.5) | entries(held=3.0) | {("uid-0", GO): 1.0}
    assert render(both) == '{"uid-0":{"removal":1.0},"uid-a":{"held":3.0,"lease":2.5}}'


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
        '{"uid-a":{"removal":true}}',
        '{"uid-a":{"removal":null}}',
        '{"uid-a":{"removal":NaN}}',
        '{"uid-a":{"held":Infinity}}',
        '{"uid-a":{"wish":10001}}',
        "[" * 100_000,
        pytest.param(f'{{"uid-a":{{"removal":{NOW + 71}}}}}', id="a removal that lasts too long to be ours"),
        pytest.param(f'{{"uid-a":{{"lease":{NOW + 121}}}}}', id="a lease that lasts too long to be ours"),
    ],
)
def test_what_nobody_can_read_counts_for_nothing(text):
    assert parse(text, NOW) == {}


@given(st.text() | st.recursive(st.none() | st.floats() | st.text(), lambda some: st.dictionaries(st.text(), some)))
def test_reading_never_fails(found):
    assert isinstance(parse(found if isinstance(found, str) else json.dumps(found), NOW), dict)


@pytest.mark.parametrize(("until", "kept"), [(NOW, False), (NOW + 0.1, True)], ids=["run out", "not yet"])
def test_what_has_run_out_is_dropped(until, kept):
    assert bool(parse(render(entries(removal=until)), NOW)) is kept


def test_it_never_grows_beyond_its_limit_and_keeps_what_matters():
    full = {(f"held-{number}", HELD): NOW + 1000 + number for number in range(LIMIT)}
    more = add(add(full, "uid-a", GO, NOW + 1), "uid-b", LEASE, NOW + 2)
    assert len(more) == len(parse(render(more), NOW)) == LIMIT
    assert of_kind(more, GO) == {"uid-a"}
    assert of_kind(more, LEASE) == {"uid-b"}
    assert full.keys() - more.keys() == {("held-0", HELD), ("held-1", HELD)}, "those that run out first"


SET, EVICT = replica_set("a"), eviction("a")


@pytest.mark.parametrize(
    ("before", "removal", "decision", "expected"),
    [
        pytest.param({}, SET, Allow("."), entries(removal=NOW + 10), id="allowed"),
        pytest.param(entries(removal=NOW + 1), SET, Allow("."), entries(removal=NOW + 10), id="allowed again"),
        pytest.param({}, SET, Allow(".", reserve=False), {}, id="allowed without counting"),
        pytest.param({}, SET, Refuse("."), {}, id="a controller's delete refused: it comes back"),
        pytest.param({}, EVICT, Refuse("."), entries(held=REMEMBERED), id="an eviction refused: it may come back"),
        pytest.param(entries(held=NOW + 9), EVICT, Refuse("."), entries(held=NOW + 9), id="and again: known"),
        pytest.param(
            {}, EVICT, Refuse(".", lease="uid-a"), entries(held=REMEMBERED) | entries(lease=NOW + 60), id="leased"
        ),
        pytest.param(
            entries(held=REMEMBERED, lease=NOW + 31),
            EVICT,
            Refuse(".", lease="uid-a"),
            entries(held=REMEMBERED, lease=NOW + 31),
            id="leased for long enough",
        ),
        pytest.param(
            entries(held=REMEMBERED, lease=NOW + 29),
            EVICT,
            Refuse(".", lease="uid-a"),
            entries(held=REMEMBERED, lease=NOW + 60),
            id="renewed",
        ),
        pytest.param({}, replica_set("a", dry_run=True), Allow("."), {}, id="a dry run reserves nothing"),
        pytest.param({}, eviction("a", dry_run=True), Refuse(".", lease="uid-a"), {}, id="nor does a refused one"),
    ],
)
def test_what_a_decision_reserves(before, removal, decision, expected):
    assert after(before, removal, decision, POLICY, NOW) == expected
