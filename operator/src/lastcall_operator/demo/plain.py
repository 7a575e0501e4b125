"""The demo in plain lines: for pipes, logs, and terminals that should stay quiet."""

from typing import Self, TextIO

from lastcall_operator.demo.scene import Scene
from lastcall_operator.demo.verdict import Verdict
from lastcall_operator.local.ledger import Score

#: A status line this often, between the sentences of the story.
_STATUS_SECONDS = 2.0
_MARKS = {True: "ok ", False: "BAD", None: "   "}


class PlainLines:
    """Writes each sentence of the story once, and where things stand every two seconds."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._told = 0
        self._next_status_seconds = _STATUS_SECONDS

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, scene: Scene) -> None:
        """Write what is new."""
        for seconds, sentence in scene.story[self._told :]:
            self._write(f"{seconds:6.1f} s  {sentence}")
        self._told = len(scene.story)
        if scene.rows and scene.elapsed_seconds >= self._next_status_seconds:
            self._next_status_seconds = scene.elapsed_seconds + _STATUS_SECONDS
            pods = " | ".join(
                f"{row.name} r{row.revision} {row.state} {'?' if row.in_flight is None else row.in_flight}"
                for row in scene.rows
            )
            self._write(f"{scene.elapsed_seconds:6.1f} s  {pods} | {describe(scene.score)}")

    def conclude(self, verdict: Verdict, complaints: list[str]) -> None:
        """Write the verdict."""
        self._write("")
        for line in verdict.lines:
            self._write(f"{_MARKS[line.good]}  {line.subject:9}{line.text}")
        for complaint in complaints:
            self._write(f"     - {complaint}")
        self._write(f"verdict: {'ok' if verdict.good else 'BAD'}: {verdict.sentence}")

    def say(self, sentence: str) -> None:
        """Write a line that belongs to neither."""
        self._write(sentence)

    def _write(self, line: str) -> None:
        self._out.write(line + "\n")
        self._out.flush()


def describe(score: Score) -> str:
    """Say how the streams stand."""
    lost = f", {score.refused + score.altered} refused or altered" if score.refused + score.altered else ""
    return (
        f"{score.started} streams started, {score.live} live, {score.verbatim} verbatim, {score.dropped} dropped{lost}"
    )
