"""A sidecar whose event loop's clock runs many times as fast: limits of a minute are over in seconds.

    async with on_stage(sidecar=HurriedSidecar) as wire: …      # 20 seconds of its time for each of ours

Everything in it is real but the loop's clock, so that constants need no way to be changed by a test. It shows *that* a
limit ends something, and in what order; for times below a few of its seconds, our machine's own noise is too large.
"""

import asyncio
import os
import selectors
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lastcall_sidecar import logs
from lastcall_sidecar.process import Identity, serve
from lastcall_sidecar.settings import load
from tests.support.sidecar_process import SidecarProcess

#: Seconds of the sidecar's time for each second of ours.
SPEED = 20.0


class HurriedSidecar(SidecarProcess):
    """A sidecar in a hurry."""

    def __init__(self, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(settings)
        self.env["PYTHONPATH"] = f"{Path(__file__).parents[2]}{os.pathsep}{self.env.get('PYTHONPATH', '')}"
        self.command = [sys.executable, "-m", "tests.support.hurried", str(self.config_file)]


class _Selector(selectors.DefaultSelector):
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(timeout if timeout is None else timeout / SPEED)


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        super().__init__(_Selector())

    def time(self) -> float:
        return super().time() * SPEED


def main() -> int:
    loaded = load(Path(sys.argv[1]), os.environ)
    logs.set_up(loaded.settings.logs.level, loaded.settings.logs.format)
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(serve(loaded, Identity(), None))


if __name__ == "__main__":
    sys.exit(main())
