"""Fuzz one target for a while: `scripts/fuzz TARGET SECONDS`. What it finds worth keeping is in build/fuzz/TARGET/."""

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(
    include=["lastcall_sidecar.wire", "lastcall_sidecar.server", "lastcall_sidecar.upstream"]
):
    from tests.fuzz.targets import TARGETS

HERE = Path(__file__).parent
FOUND = HERE.parents[1] / "build" / "fuzz"
#: What is wrong in a small input is wrong in a large one, and found sooner.
MAX_BYTES = 4096


def main() -> None:
    name, seconds = sys.argv[1:]
    if name not in TARGETS:
        sys.exit(f"scripts/fuzz: no such target; there are {', '.join(TARGETS)}")
    found = FOUND / name
    found.mkdir(parents=True, exist_ok=True)
    limits = [f"-max_total_time={int(seconds)}", f"-max_len={MAX_BYTES}", "-timeout=10", "-rss_limit_mb=2048"]
    # What is new goes into the first folder.
    atheris.Setup(
        [sys.argv[0], *limits, f"-artifact_prefix={found}/", str(found), str(HERE / "corpus" / name)], TARGETS[name]
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
