"""Log lines: JSON in a pod, coloured text on a terminal. Set up once, by the command line."""

import logging
import sys
from contextlib import suppress
from typing import Any

import msgspec
import structlog

from .printable import printable


def set_up(level: str, fmt: str) -> None:
    """Send structlog's and the libraries' lines to standard output. `fmt`: auto, json or text."""
    as_text = fmt == "text" or (fmt == "auto" and sys.stdout.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
    ]
    threshold = logging.getLevelNamesMapping()[level.upper()]
    ours, theirs, factory = _as_text() if as_text else _as_json()
    structlog.configure(
        processors=[*shared, *ours],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(_unfailing(sys.stdout))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *theirs],
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(threshold, logging.WARNING))  # the libraries' chatter is nobody's business


Rendering = tuple[list[structlog.typing.Processor], list[structlog.typing.Processor], Any]


def _as_text() -> Rendering:
    """How our lines and the libraries' are made, and who writes ours."""
    # Its default, where rich is installed, shows each frame's variables: bodies and keys.
    plain = structlog.dev.plain_traceback
    processors: list[structlog.typing.Processor] = [
        _fit_for_a_terminal,
        structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty(), exception_formatter=plain),
    ]
    return processors, processors, structlog.WriteLoggerFactory(_unfailing(sys.stdout))


def _fit_for_a_terminal(_: object, __: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Nothing that somebody sent may be obeyed by the terminal of whoever reads it."""
    return {key: printable(value) if isinstance(value, str) else value for key, value in line.items()}


def _as_json() -> Rendering:
    """The same, with ours as the bytes that msgspec makes, and each line in one write."""
    before = structlog.processors.format_exc_info
    ours: list[structlog.typing.Processor] = [before, structlog.processors.JSONRenderer(_json)]
    theirs: list[structlog.typing.Processor] = [before, structlog.processors.JSONRenderer(_json_text)]
    return ours, theirs, structlog.BytesLoggerFactory(_unfailing(sys.stdout.buffer))


class _Unfailing:
    """Output whose lines get lost where they cannot be written: a full disk, or a reader that is gone.

    Whoever logs is about to drain, to answer or to leave, and must not be kept from it by a line.
    """

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, line: Any) -> None:
        with suppress(OSError):
            self._file.write(line)

    def flush(self) -> None:
        with suppress(OSError):
            self._file.flush()


def _unfailing(file: Any) -> Any:
    return _Unfailing(file)


def _json(line: object, **_: object) -> bytes:
    """JSON at a tenth of the standard library's cost; what it does not know becomes text."""
    return msgspec.json.encode(line, enc_hook=str)


def _json_text(line: object, **_: object) -> str:
    return _json(line).decode()


def starting(configuration: dict[str, object], asks_for: list[str], warnings: tuple[str, ...]) -> None:
    """The first lines: the whole configuration, secrets masked, whom it asks for what, and what looks odd about it."""
    log = structlog.get_logger(__name__)
    log.info("starting", configuration=configuration, asks_for=asks_for)
    for warning in warnings:
        log.warning(warning)
