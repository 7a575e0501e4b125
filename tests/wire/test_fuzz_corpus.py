"""What is fuzzed holds at least for its seeds, and a found input that is put among them stays fixed."""

from pathlib import Path

import pytest
from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parents[1] / "fuzz" / "corpus"
SEEDS = sorted(CORPUS.glob("*/*"))


@pytest.mark.parametrize("seed", SEEDS, ids=[f"{seed.parent.name}-{seed.name}" for seed in SEEDS])
def test_a_seed_shows_nothing_wrong_and_neither_do_its_begins(seed):
    data = seed.read_bytes()
    target = TARGETS[seed.parent.name]
    target(data)
    for end in range(0, len(data), 1 + len(data) // 100):
        target(data[:end])


def test_each_target_has_seeds_and_all_of_them_are_small():
    assert {seed.parent.name for seed in SEEDS} == set(TARGETS)
    assert sum(seed.stat().st_size for seed in SEEDS) < 100_000
