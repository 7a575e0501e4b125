"""The errors of this package: what can go wrong, and whose fault it is.

`Refusal` is the client's fault or our own limit, `UpstreamFailure` the upstream's. Both carry what the client is told:
a status while nothing has been sent, one error event of the caller's protocol afterwards (`wire/protocol.py` shapes
both). Everything else that this package raises on purpose ends the process with a sentence.
"""

from dataclasses import dataclass

from .wire.protocol import ErrorKind


class LastcallError(Exception):
    """Everything that this package raises on purpose."""


@dataclass(eq=False)  # not frozen: contextlib sets the traceback of what passes through it
class Refusal(LastcallError):  # noqa: N818 - it is no failure of ours
    """A request that we do not serve, or not to its end."""

    status: int
    kind: ErrorKind
    message: str
    #: Seconds for `retry-after`, where trying again may help.
    retry_after_seconds: int | None = None


@dataclass(eq=False)  # not frozen: contextlib sets the traceback of what passes through it
class UpstreamFailure(LastcallError):  # noqa: N818 - the name says whose failure it is
    """The upstream could not be reached, broke its protocol, or took too long."""

    #: For metrics: connect, connect_timeout, protocol, reset, truncated, …
    cause: str
    status: int
    kind: ErrorKind
    message: str
