"""The demo as a live picture: what each sidecar carries, how the streams fare, and why the planner waits."""

from collections.abc import Sequence
from typing import Self

from rich.box import ROUNDED, SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from lastcall_operator.demo.scene import Row, Scene
from lastcall_operator.demo.verdict import Verdict
from lastcall_operator.local.ledger import Kind, Score

_MAX_WIDTH = 100
#: What a row of the table needs beside its bar.
_BESIDE_BAR = 64
_STORY_LINES = 5
#: Symbol and color of each state.
_STATES = {
    "starting": ("○", "bright_black"),
    "serving": ("●", "green"),
    "draining": ("◐", "yellow"),
    "drained": ("◌", "cyan"),
    "expired": ("✗", "red"),
    "ending": ("◌", "bright_black"),
}
#: Not quite the line's height, so that the rows stay apart.
_BLOCK = "▇"
_MARKS = {True: ("✔", "green"), False: ("✘", "red"), None: ("·", "bright_black")}


class Picture:
    """Draws scenes over each other in a terminal. The last one stays."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="crop")

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, scene: Scene) -> None:
        """Draw a scene."""
        self._live.update(render(scene, self._console.width), refresh=True)

    def conclude(self, verdict: Verdict, complaints: list[str]) -> None:
        """Draw the verdict below the last scene."""
        self._live.stop()
        self._console.print(render_verdict(verdict, complaints))

    def say(self, sentence: str) -> None:
        """Print a line below everything."""
        self._live.stop()
        self._console.print(sentence, markup=False, highlight=False, soft_wrap=True)


def render(scene: Scene, width: int) -> RenderableType:
    """Lay out one scene: 23 lines, so that it fits a terminal of 24."""
    bar_width = max(8, min(width, _MAX_WIDTH) - _BESIDE_BAR)
    return Panel(
        Group(_sidecars(scene, bar_width), _rollout(scene, bar_width), Text(), _streams(scene), Text(), _story(scene)),
        title=_title(scene),
        title_align="left",
        subtitle=f" {scene.elapsed_seconds:.0f} s ",
        subtitle_align="right",
        box=ROUNDED,
        border_style="red" if scene.naive else "blue",
        width=_MAX_WIDTH,
        padding=(0, 2),
    )


def render_verdict(verdict: Verdict, complaints: list[str]) -> RenderableType:
    """Lay out the verdict."""
    color = "green" if verdict.good else "red"
    grid = Table.grid(padding=(0, 2))
    for line in verdict.lines:
        mark, style = _MARKS[line.good]
        grid.add_row(Text(mark, style=style), Text(line.subject, style="bold"), Text(line.text))
    parts: list[RenderableType] = [grid]
    parts += [
        Text(f"· {complaint}", style="bright_black", overflow="ellipsis", no_wrap=True) for complaint in complaints
    ]
    parts += [Text(), Text(verdict.sentence, style=f"bold {color}")]
    return Panel(
        Group(*parts),
        title=Text(" verdict ", style=f"bold {color}"),
        title_align="left",
        box=ROUNDED,
        border_style=color,
        width=_MAX_WIDTH,
        padding=(0, 2),
    )


def _title(scene: Scene) -> Text:
    how = "an ordinary restart" if scene.naive else "a rolling restart"
    return Text.assemble(
        (" Lastcall ", "bold reverse"), (f" {how} of {scene.total or 3} sidecars under live LLM streams ", "bold")
    )


def _sidecars(scene: Scene, bar_width: int) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bright_black", expand=True)
    table.add_column("sidecar")
    table.add_column("rev", justify="center")
    table.add_column("state", min_width=10)
    table.add_column("in flight", width=bar_width + 4)
    table.add_column("oldest", justify="right")
    table.add_column("finished", justify="right")
    for row in scene.rows:
        symbol, color = _STATES[row.state]
        table.add_row(
            Text(row.name, style="bold"),
            Text(row.revision, style="bright_black" if row.revision == "1" else "bold magenta"),
            Text(f"{symbol} {row.state}", style=color),
            _bar(row, scene.busiest, bar_width, color),
            Text("" if row.oldest_seconds is None else f"{row.oldest_seconds:.0f} s"),
            Text(str(row.completed)),
        )
    return table


def _bar(row: Row, busiest: int, width: int, color: str) -> Text:
    """Draw what a sidecar carries: something, if it carries anything."""
    if row.in_flight is None:
        return Text("no answer", style="bright_black")
    bar = _BLOCK * -(-width * row.in_flight // busiest)
    return Text.assemble((bar.ljust(width), color), (f" {row.in_flight:>3}", "bold"))


def _rollout(scene: Scene, bar_width: int) -> Table:
    done = scene.total > 0 and scene.replaced == scene.total
    grid = Table.grid(padding=(0, 2))
    grid.add_column(width=8)
    grid.add_column()
    bar = Table.grid(padding=(0, 2))
    bar.add_row(
        ProgressBar(
            total=scene.total or 1,
            completed=scene.replaced,
            width=bar_width,
            complete_style="magenta",
            finished_style="magenta",
        ),
        Text(f"{scene.replaced} of {scene.total} replaced", style="bold magenta" if done else "magenta"),
    )
    grid.add_row(Text("rollout", style="bright_black"), bar)
    grid.add_row(Text("now", style="bright_black"), Text(scene.doing, style="bold", overflow="ellipsis", no_wrap=True))
    return grid


def _streams(scene: Scene) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bright_black", expand=True)
    for name in ("streams", "started", "live", "finished", "verbatim", "dropped"):
        table.add_column(name, justify="left" if name == "streams" else "right")
    table.add_column("kept / fresh", justify="right")
    for library in sorted({kind.library for kind, _ in scene.scores}):
        scores = tuple((kind, score) for kind, score in scene.scores if kind.library == library)
        table.add_row(library, *_numbers([score for _, score in scores]), _connections(scores))
    table.add_row(Text("all", style="bold"), *_numbers([scene.score], bold=True), _connections(scene.scores))
    return table


def _connections(scores: Sequence[tuple[Kind, Score]]) -> Text:
    """Tell how many streams took a connection that was kept alive, and how many a fresh one."""
    kept = sum(score.started for kind, score in scores if kind.keep_alive)
    fresh = sum(score.started for kind, score in scores if not kind.keep_alive)
    return Text(f"{kept} / {fresh}", style="bright_black")


def _numbers(scores: list[Score], *, bold: bool = False) -> list[Text]:
    """Sum some scores up, in the order of the columns; refused and altered streams count as dropped here."""
    weight = "bold " if bold else ""
    lost = sum(score.lost for score in scores)
    return [
        Text(str(sum(score.started for score in scores)), style=f"{weight}default"),
        Text(str(sum(score.live for score in scores)), style=f"{weight}default"),
        Text(str(sum(score.finished for score in scores)), style=f"{weight}default"),
        Text(str(sum(score.verbatim for score in scores)), style=f"{weight}green"),
        Text(str(lost), style="bold red" if lost else f"{weight}green"),
    ]


def _story(scene: Scene) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(width=8, justify="right")
    grid.add_column()
    told = list(scene.story[-_STORY_LINES:])
    for seconds, sentence in told:
        grid.add_row(Text(f"{seconds:.1f} s", style="bright_black"), Text(sentence, overflow="ellipsis", no_wrap=True))
    for _ in range(_STORY_LINES - len(told)):
        grid.add_row("", "")
    return grid
