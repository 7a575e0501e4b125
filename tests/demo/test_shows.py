"""What people see: the picture in terminals of any width, and the plain lines."""

import io

import pytest
from rich.console import Console

from lastcall_operator.demo.picture import Picture, render
from lastcall_operator.demo.plain import PlainLines
from lastcall_operator.demo.scene import Row, Scene, Stage
from lastcall_operator.demo.verdict import Line, Verdict
from lastcall_operator.local.ledger import Kind, Score

SCENE = Scene(
    naive=False,
    elapsed_seconds=22.7,
    rows=(
        Row("sidecar-1", "1", "serving", 30, 4.2, 41),
        Row("sidecar-2", "1", "draining", 7, 11.9, 77),
        Row("sidecar-3", "2", "starting", None, None, 0),
    ),
    busiest=30,
    score=Score(255, verbatim=180, dropped=2, refused=1),
    scores=(
        (Kind("anthropic SDK, sync", keep_alive=True), Score(120, verbatim=100, dropped=2)),
        (Kind("anthropic SDK, sync", keep_alive=False), Score(135, verbatim=80, refused=1)),
    ),
    replaced=1,
    total=3,
    doing="sidecar-2 finishes its streams: 7 in flight, the oldest for 12 s",
    story=((7.5, "drain sidecar-3: the least busy of 3 outdated pods"), (22.7, "replace sidecar-3: drained")),
)
VERDICT = Verdict(
    good=False, lines=(Line(False, "streams", "3 lost"), Line(None, "counters", "none")), sentence="Not good."
)


def drawn(scene, width=100):
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    console.print(render(scene, width))
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 100, 200])
def test_the_picture_tells_everything_at_any_width(width):
    lines = drawn(SCENE, width).splitlines()
    picture = "\n".join(lines)
    assert max(len(line) for line in lines) <= width
    assert len(lines) <= 23, "a terminal has 24 lines, and one is the cursor's"
    for words in (
        "● serving",
        "◐ draining",
        "○ starting",
        "no answer",
        "1 of 3 replaced",
        "sidecar-2 finishes its streams: 7 in flight, the oldest for 12 s",
        "7.5 s  drain sidecar-3: the least busy of 3 outdated pods",
        "120 / 135",
        "finished",
    ):
        assert words in picture
    assert next(line for line in lines if "│  all  " in line).split()[2:7] == ["255", "72", "183", "180", "3"]


def test_bars_are_as_long_as_what_they_show():
    lines = drawn(SCENE).splitlines()
    full, part = (next(line for line in lines if name in line) for name in ("sidecar-1", "sidecar-2"))
    assert full.count("▇") == 36
    assert part.count("▇") == 9  # 7/30 of it, and whatever is left over of a block


def test_an_empty_stage_can_be_drawn():
    assert "0 of 0 replaced" in drawn(Stage(naive=True, start=0.0).scene(0.1))


def test_a_picture_leaves_its_last_scene_and_the_verdict():
    out = io.StringIO()
    picture = Picture(Console(file=out, width=100, force_terminal=True, color_system=None))
    with picture:
        picture.show(SCENE)
        picture.conclude(VERDICT, ["3 × dropped: reset"])
        picture.say("More: [bold]no markup[/bold]")
    shown = out.getvalue()
    assert shown.index("1 of 3 replaced") < shown.index("Not good.")
    assert "✘  streams   3 lost" in shown
    assert "· 3 × dropped: reset" in shown
    assert "[bold]no markup[/bold]" in shown


def test_plain_lines_tell_each_sentence_once_and_the_state_now_and_then():
    out = io.StringIO()
    with PlainLines(out) as plain:
        plain.show(SCENE)
        plain.show(SCENE)
        plain.conclude(VERDICT, ["3 × dropped: reset"])
    assert out.getvalue().splitlines() == [
        "   7.5 s  drain sidecar-3: the least busy of 3 outdated pods",
        "  22.7 s  replace sidecar-3: drained",
        (
            "  22.7 s  sidecar-1 r1 serving 30 | sidecar-2 r1 draining 7 | sidecar-3 r2 starting ? | "
            "255 streams started, 72 live, 180 verbatim, 2 dropped, 1 refused or altered"
        ),
        "",
        "BAD  streams  3 lost",
        "     counters none",
        "     - 3 × dropped: reset",
        "verdict: BAD: Not good.",
    ]
