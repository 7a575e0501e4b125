"""Names of models: what one stands for, and which upstream's patterns take it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastcall_sidecar.wire.model_names import fits, rename

MODELS = {
    "gpt-*": "claude-haiku-4-5",
    "gpt-4*": "claude-opus-4-8",
    "gpt-4o": "claude-sonnet-4-6",
    "o3": "gpt-4o",
}
#: Few letters, so that they meet.
NAMES = st.text("ab", min_size=1, max_size=4)
PATTERNS = st.one_of(NAMES, st.text("ab", max_size=3).map(lambda beginning: beginning + "*"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("gpt-4o", "claude-sonnet-4-6", id="an exact name wins over a beginning"),
        pytest.param("gpt-4o-mini", "claude-opus-4-8", id="a longer beginning wins over a shorter one"),
        pytest.param("gpt-5", "claude-haiku-4-5", id="a beginning"),
        pytest.param("gpt-", "claude-haiku-4-5", id="a beginning with nothing behind it"),
        pytest.param("GPT-4o", "GPT-4o", id="case matters"),
        pytest.param("o3", "gpt-4o", id="once only"),
        pytest.param("o3-mini", "o3-mini", id="a name is no beginning"),
        pytest.param("claude-fable-5", "claude-fable-5", id="unmapped"),
        pytest.param("", "", id="empty"),
    ],
)
def test_what_a_name_stands_for(name, expected):
    assert rename(MODELS, name) == expected


def test_the_order_of_the_table_does_not_matter():
    assert rename(dict(reversed(MODELS.items())), "gpt-4o-mini") == "claude-opus-4-8"


def test_a_star_alone_is_for_all_that_nothing_else_fits():
    models = {"*": "qwen3", "gpt-*": "gpt-oss"}
    assert [rename(models, name) for name in ("claude", "gpt-4o")] == ["qwen3", "gpt-oss"]


def test_no_table_changes_nothing():
    assert rename({}, "gpt-4o") == "gpt-4o"


@pytest.mark.parametrize(
    ("patterns", "name", "expected"),
    [
        pytest.param(["claude-*"], "claude-sonnet-4-6", True, id="a beginning"),
        pytest.param(["claude-*"], "claude-", True, id="nothing behind it"),
        pytest.param(["claude-*"], "gpt-4o", False, id="another beginning"),
        pytest.param(["gpt-4o"], "gpt-4o", True, id="the name"),
        pytest.param(["gpt-4o"], "gpt-4o-mini", False, id="a name is no beginning"),
        pytest.param(["o3", "gpt-*"], "gpt-4o", True, id="one of several"),
        pytest.param(["*"], "anything", True, id="all"),
        pytest.param([], "anything", False, id="none"),
    ],
)
def test_which_names_patterns_take(patterns, name, expected):
    assert fits(patterns, name) is expected


@given(PATTERNS, PATTERNS, NAMES)
def test_a_pattern_that_takes_a_pattern_takes_every_name_of_it(wide, narrow, name):
    if fits([wide], narrow) and fits([narrow], name):
        assert fits([wide], name)
