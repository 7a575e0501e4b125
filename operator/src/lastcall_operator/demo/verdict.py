"""The verdict: what the clients saw, whether the sidecars' counters agree, and whether the run shows what it claims."""

from dataclasses import dataclass

from lastcall_operator.local.gauge import Totals
from lastcall_operator.local.ledger import Score


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run that is over. `exits` are the exit codes of the sidecars that were replaced, in that order."""

    naive: bool
    score: Score
    totals: Totals
    exits: tuple[tuple[str, int], ...]
    replicas: int
    rollout_seconds: float
    all_ended: bool


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was looked at; `good` is None where it decides nothing."""

    good: bool | None
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """`good` is the exit code's: 0 when the run showed what it set out to show."""

    good: bool
    lines: tuple[Line, ...]
    sentence: str


def judge_run(outcome: Outcome) -> Verdict:
    """Judge a run of either kind."""
    return _judge_naive(outcome) if outcome.naive else _judge_drained(outcome)


def _judge_drained(outcome: Outcome) -> Verdict:
    """Nothing lost, everything replaced properly, and two independent counts that agree."""
    lines = (_streams(outcome, good=_whole(outcome)), _rollout(outcome), _counters(outcome))
    good = all(line.good for line in lines)
    if good:
        sentence = (
            f"0 dropped: every stream came whole, byte for byte, through a restart of all {outcome.replicas} sidecars."
        )
    elif outcome.score.lost:
        sentence = f"{outcome.score.lost} of {_count(outcome.score.finished, 'stream')} did not come whole."
    else:
        sentence = "No stream was lost, but the run was not as it should be."
    return Verdict(good, lines, sentence)


def _judge_naive(outcome: Outcome) -> Verdict:
    """The control: it must be able to fail."""
    lost, finished = outcome.score.lost, outcome.score.finished
    lines = (
        _streams(outcome, good=lost > 0),
        Line(
            None, "rollout", f"{_names(outcome)}: SIGTERM, and SIGKILL a second later; {outcome.rollout_seconds:.1f} s"
        ),
        Line(None, "counters", "what the killed sidecars had counted died with them"),
    )
    if not lost:
        return Verdict(False, lines, "An ordinary restart dropped nothing this time: this run shows nothing.")
    return Verdict(
        True,
        lines,
        f"An ordinary restart broke {lost} of {_count(finished, 'stream')}. Without --naive, none breaks.",
    )


def _whole(outcome: Outcome) -> bool:
    score = outcome.score
    return outcome.all_ended and score.started == score.finished == score.verbatim > 0


def _streams(outcome: Outcome, *, good: bool) -> Line:
    score = outcome.score
    text = f"{score.started} started, {score.finished} finished, {score.verbatim} verbatim, {score.dropped} dropped"
    extra = "".join(
        f", {count} {word}"
        for count, word in ((score.refused, "refused"), (score.altered, "altered"), (score.live, "never ended"))
        if count
    )
    return Line(good, "streams", text + extra)


def _rollout(outcome: Outcome) -> Line:
    codes = {code for _, code in outcome.exits}
    good = len(outcome.exits) == outcome.replicas and codes == {0}
    codes_seen = ", ".join(str(code) for _, code in outcome.exits)
    ends = "each drained, exit code 0" if good else f"exit codes {codes_seen}"
    return Line(good, "rollout", f"{_names(outcome)}: {ends}; {outcome.rollout_seconds:.1f} s")


def _counters(outcome: Outcome) -> Line:
    totals, score = outcome.totals, outcome.score
    good = totals == Totals(accepted=score.started, completed=score.verbatim)
    text = f"{totals.accepted} accepted, {totals.completed} completed, {totals.dropped} dropped"
    extra = "".join(
        f", {count} {word}"
        for count, word in ((totals.failed, "failed"), (totals.disconnected, "disconnected"))
        if count
    )
    agree = "the sidecars agree with their clients" if good else "the sidecars do not agree with their clients"
    return Line(good, "counters", f"{text}{extra}: {agree}")


def _names(outcome: Outcome) -> str:
    return ", ".join(name for name, _ in outcome.exits) or "nobody"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
