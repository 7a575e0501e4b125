"""The verdict is good only when the run showed what it claims."""

from dataclasses import replace

import pytest

from lastcall_operator.demo.verdict import Outcome, judge_run
from lastcall_operator.local.gauge import Totals
from lastcall_operator.local.judgement import Fate, Judgement
from lastcall_operator.local.ledger import Kind, Ledger, Score

ENDED_WELL = (("sidecar-3", 0), ("sidecar-1", 0))
GOOD = Outcome(
    naive=False,
    score=Score(started=9, verbatim=9),
    totals=Totals(accepted=9, completed=9),
    exits=ENDED_WELL,
    replicas=2,
    rollout_seconds=31.25,
    all_ended=True,
)


def text(verdict):
    return [f"{line.good} {line.subject}: {line.text}" for line in verdict.lines] + [verdict.sentence]


def test_a_run_without_a_flaw():
    verdict = judge_run(GOOD)
    assert verdict.good
    assert text(verdict) == [
        "True streams: 9 started, 9 finished, 9 verbatim, 0 dropped",
        "True rollout: sidecar-3, sidecar-1: each drained, exit code 0; 31.2 s",
        "True counters: 9 accepted, 9 completed, 0 dropped: the sidecars agree with their clients",
        "0 dropped: every stream came whole, byte for byte, through a restart of all 2 sidecars.",
    ]


@pytest.mark.parametrize(
    ("flaw", "said"),
    [
        pytest.param(
            {"score": Score(9, 8, dropped=1)},
            "False streams: 9 started, 9 finished, 8 verbatim, 1 dropped\n",
            id="a dropped stream",
        ),
        pytest.param(
            {"score": Score(9, 8, refused=1)},
            "False streams: 9 started, 9 finished, 8 verbatim, 0 dropped, 1 refused",
            id="a refused stream",
        ),
        pytest.param(
            {"score": Score(9, 8, altered=1)},
            "False streams: 9 started, 9 finished, 8 verbatim, 0 dropped, 1 altered",
            id="an altered stream",
        ),
        pytest.param(
            {"score": Score(9, 8)},
            "False streams: 9 started, 8 finished, 8 verbatim, 0 dropped, 1 never ended",
            id="a stream that never ended",
        ),
        pytest.param({"all_ended": False}, "False streams", id="a client that hangs"),
        pytest.param({"score": Score(), "totals": Totals()}, "False streams: 0 started", id="no stream at all"),
        pytest.param({"totals": Totals(9, 8)}, "do not agree", id="a stream that was not counted"),
        pytest.param({"totals": Totals(10, 9)}, "do not agree", id="a request that no client made"),
        pytest.param({"totals": Totals(9, 9, disconnected=1)}, "1 disconnected", id="a client taken for gone"),
        pytest.param({"totals": Totals(9, 9, failed=1)}, "1 failed", id="a failure that no client saw"),
        pytest.param({"totals": Totals(9, 9, dropped=1)}, "1 dropped: the sidecars do not", id="a drop that none saw"),
        pytest.param({"exits": ENDED_WELL[:1]}, "False rollout", id="a sidecar that was not replaced"),
        pytest.param({"exits": ()}, "False rollout: nobody", id="no sidecar replaced"),
        pytest.param(
            {"exits": (("sidecar-3", 0), ("sidecar-1", -9))},
            "False rollout: sidecar-3, sidecar-1: exit codes 0, -9",
            id="a sidecar that was killed",
        ),
    ],
)
def test_any_flaw_spoils_the_run(flaw, said):
    verdict = judge_run(replace(GOOD, **flaw))
    assert not verdict.good
    assert said in "\n".join(text(verdict))
    assert "byte for byte" not in verdict.sentence


@pytest.mark.parametrize(
    ("score", "good", "said"),
    [
        pytest.param(
            Score(9, 6, dropped=2, refused=1),
            True,
            "broke 3 of 9 streams. Without --naive, none breaks.",
            id="drops seen",
        ),
        pytest.param(Score(1, 0, dropped=1), True, "broke 1 of 1 stream.", id="one of one"),
        pytest.param(Score(9, 9), False, "this run shows nothing", id="none seen"),
    ],
)
def test_the_control_is_good_only_when_it_saw_drops(score, good, said):
    verdict = judge_run(replace(GOOD, naive=True, score=score, totals=Totals(), exits=(("sidecar-1", -9),)))
    assert verdict.good is good
    assert said in verdict.sentence


def test_a_lost_stream_is_what_the_verdict_says_first():
    verdict = judge_run(replace(GOOD, score=Score(9, 8, dropped=1)))
    assert verdict.sentence == "1 of 9 streams did not come whole."


def test_the_ledger_counts_by_kind_and_fate():
    ledger, sync, raw = Ledger(), Kind("sync", keep_alive=True), Kind("raw", keep_alive=False)
    for kind in (sync, sync, sync, raw, raw):
        ledger.start(kind)
    ledger.finish(sync, Judgement(Fate.VERBATIM))
    ledger.finish(sync, Judgement(Fate.DROPPED, "reset"))
    ledger.finish(raw, Judgement(Fate.DROPPED, "reset"))
    ledger.finish(raw, Judgement(Fate.REFUSED, "status 503"))
    assert ledger.scores() == {sync: Score(3, verbatim=1, dropped=1), raw: Score(2, dropped=1, refused=1)}
    total = ledger.score()
    assert (total.started, total.finished, total.live, total.lost) == (5, 4, 1, 3)
    assert ledger.complaints() == ["2 × dropped: reset", "1 × refused: status 503"]
    assert [str(kind) for kind in ledger.scores()] == ["sync, keep-alive", "raw, fresh connections"]
