"""The other end of the control socket, for the command line. Imports next to nothing: preStop waits for it to start."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def ask(path: Path, command: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Send one command and yield each report, the last of which has `done`.

    Errors: OSError when nobody listens there; EOFError when the sidecar ended before it was done.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(str(path))
        connection.sendall(json.dumps(command).encode() + b"\n")
        with connection.makefile("rb") as lines:
            for line in lines:
                report: dict[str, Any] = json.loads(line)
                done = report["done"]  # before the caller has it, who may take it apart
                yield report
                if done:
                    return
    raise EOFError("the sidecar ended before it answered")
