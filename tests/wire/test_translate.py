"""The table of translations."""

import pytest

from lastcall_sidecar.wire.translate import TRANSLATIONS


@pytest.mark.parametrize(
    ("pair", "path"),
    [(("openai", "anthropic"), "/v1/messages"), (("anthropic", "openai"), "/v1/chat/completions")],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else None,
)
def test_each_pair_of_different_protocols_has_its_own(pair, path):
    assert TRANSLATIONS[pair].upstream_path == path


def test_who_speaks_alike_needs_none():
    assert not [pair for pair in TRANSLATIONS if pair[0] == pair[1]]
