"""The child of `apart.py`: reads a body on standard input, does one job with it, and writes what came of it.

Its output is a line of JSON (what it says, or `error`), and behind it the bytes that it made. It imports what the job
needs and nothing else, so that it starts in a tenth of a second.
"""

import dataclasses
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

from lastcall_sidecar.wire.body import BodyError, scan

Told = tuple[dict[str, Any], bytes]


def _scan(body: bytes, _: Mapping[str, Any]) -> Told:
    return dataclasses.asdict(scan(body)), b""


def _translate(body: bytes, job: Mapping[str, Any]) -> Told:
    from lastcall_sidecar.wire.translate import REWRITINGS  # noqa: PLC0415 - a scan does not need it
    from lastcall_sidecar.wire.translation import Options  # noqa: PLC0415

    made = REWRITINGS[tuple(job["pair"])].request(body, Options(**job["options"]))
    return dataclasses.asdict(made.asked), made.body


def _count(body: bytes, job: Mapping[str, Any]) -> Told:
    from lastcall_sidecar.wire.messages_on_chat import tokens  # noqa: PLC0415 - a scan does not need it

    return {"about": tokens.estimate(body, job["model"])}, tokens.tokenize_request(body, job["model"])


JOBS: Mapping[str, Callable[[bytes, Mapping[str, Any]], Told]] = {
    "scan": _scan,
    "translate": _translate,
    "count": _count,
}


def main() -> None:
    """Do the job that the first argument says."""
    job = json.loads(sys.argv[1])
    body = sys.stdin.buffer.read()
    try:
        told, made = JOBS[job["do"]](body, job)
    except BodyError as error:
        told, made = {"error": str(error)}, b""
    sys.stdout.buffer.write(json.dumps(told).encode() + b"\n" + made)


if __name__ == "__main__":
    main()
