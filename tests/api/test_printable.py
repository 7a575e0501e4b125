"""Nothing that others wrote is obeyed by the terminal of whoever reads it."""

import io
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastcall_operator import cli
from lastcall_operator.api.printable import printable
from lastcall_operator.commands.rows import PodRow
from lastcall_operator.commands.tables import plain, table
from lastcall_operator.errors import LastcallError
from lastcall_operator.status.told import Happened, Told

#: A title for the window, colors by C1, a line written over, words the other way round, half a surrogate.
HOSTILE = "\x1b]0;pwn\x07 \x9b31m a\rb\nc \u202eevil\u200b \ud800"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""), ("claude-4 · 日本語 ü – ✔", "claude-4 · 日本語 ü – ✔"), ("a\nb\tc\rd", "a b c d"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\x9b1m", "\\x9b1m"), ("\u202e", "\\u202e"), ("\ud800", "\\ud800"), ("\x7f", "\\x7f"),
    ],
)  # fmt: skip
def test_what_a_terminal_would_obey_is_written_out(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_every_text_becomes_printable_and_stays_so(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert printable(shown) == shown
    shown.encode()


def test_conditions_events_and_tables_hold_nothing_else() -> None:
    row = PodRow("llm", HOSTILE, 1, 2.0, "serving", True, False, HOSTILE, HOSTILE, None)
    assert Told("Ready", False, "No", HOSTILE).message.isprintable()
    assert Happened("Rejected", HOSTILE).message.isprintable()
    assert all(line.isprintable() for line in plain([row]).split("\n"))
    assert all(str(cell).isprintable() for column in table([row]).columns for cell in column.cells)


def test_an_error_on_the_terminal_is_one_printable_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_: object) -> int:
        raise LastcallError(HOSTILE)

    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    monkeypatch.setattr(cli, "_check", failing)
    assert cli.main(["check"]) == 1
    assert said.getvalue().removesuffix("\n").isprintable()
