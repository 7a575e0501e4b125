"""Reading small files, remembering what was in them, so that a change shows."""

import hashlib
import os
import stat
from collections.abc import Iterable

#: No file that a configuration names is larger.
MAX_BYTES = 1024 * 1024


class Files:
    """Reads files; `digests` has the SHA-256 of each one's content, None where it could not be read."""

    def __init__(self) -> None:
        self.digests: dict[str, str | None] = {}

    def read(self, path: str) -> bytes:
        """The content of a regular file.

        Errors: ValueError, a sentence that says why it cannot be had.
        """
        self.digests[path] = None
        try:
            content = _read(path)
        except OSError as error:
            raise ValueError(f"cannot read {path}: {error.strerror or error}") from error
        except ValueError as error:
            raise ValueError(f"cannot read {path!r}: {error}") from error
        self.digests[path] = hashlib.sha256(content).hexdigest()
        return content

    def look(self, paths: Iterable[str]) -> dict[str, str | None]:
        """Read these files; the digests that they have now."""
        for path in paths:
            try:
                self.read(path)
            except ValueError:
                continue  # its digest is None now
        return self.digests


def _read(path: str) -> bytes:
    with open(path, "rb", opener=_open) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is not a regular file")
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES} bytes")
    return content


def _open(path: str, flags: int) -> int:
    # Not blocking: opening a named pipe would wait for a writer.
    return os.open(path, flags | os.O_NONBLOCK)
