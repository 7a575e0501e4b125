"""Rows as people read them: a table in a terminal, aligned plain lines elsewhere."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from lastcall_operator.api.printable import printable

from .rows import PodRow, seconds

HEADS = ("NAMESPACE", "POD", "IN FLIGHT", "OLDEST", "STATE", "REVISION", "NODE")
_COLORS = {"serving": "green", "draining": "yellow", "drained": "cyan", "expired": "red", "silent": "bright_black"}
_BLOCK = "▇"


def cells(row: PodRow) -> tuple[str, ...]:
    """A row's texts, in the order of HEADS."""
    in_flight = "?" if row.in_flight is None else str(row.in_flight)
    texts = (row.namespace, row.pod, in_flight, seconds(row.oldest_seconds), row.shown_state, row.revision, row.node)
    return tuple(map(printable, texts))


def total(rows: Sequence[PodRow]) -> str:
    """The line below a table."""
    known = sum(row.in_flight or 0 for row in rows)
    silent = sum(row.in_flight is None for row in rows)
    draining = sum(row.state in {"draining", "drained", "expired"} for row in rows)
    return f"{len(rows)} pods, {known} in flight, {draining} draining" + (f", {silent} silent" if silent else "")


def plain(rows: Sequence[PodRow]) -> str:
    """Aligned lines without color, for pipes and logs."""
    lines = [HEADS, *(cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADS))]
    texts = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([*texts, total(rows)])


def table(rows: Sequence[PodRow]) -> Table:
    """The table of a terminal, with a bar for what each pod carries."""
    busiest = max([row.in_flight or 0 for row in rows], default=0) or 1
    made = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bright_black", caption=total(rows))
    for head in HEADS:
        made.add_column(head, justify="right" if head == "OLDEST" else "left", no_wrap=head in {"POD", "IN FLIGHT"})
    for row in rows:
        texts = [Text(cell) for cell in cells(row)]
        texts[1].stylize("bold")
        texts[2] = bar(row, busiest)
        texts[4].stylize(_COLORS.get(row.state, "default"))
        made.add_row(*texts)
    return made


def bar(row: PodRow, busiest: int, width: int = 20) -> Text:
    """What a pod carries, as a bar and a number: something, if it carries anything."""
    if row.in_flight is None:
        return Text("no answer", style="bright_black")
    blocks = _BLOCK * -(-width * row.in_flight // busiest)
    return Text.assemble((blocks.ljust(width), _COLORS.get(row.state, "default")), (f" {row.in_flight:>3}", "bold"))
