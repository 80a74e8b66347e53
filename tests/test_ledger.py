"""A ledger in which a promise was broken is told from one in which all were kept."""

from dataclasses import replace

import pytest

from tests.support.ledger import Asked, Attempt, Call, Ledger

KINDS: list[str | None] = ["started", "text_delta", "finished"]
ANSWERED = Attempt("one", "m", "ok", is_asked=True)
LOST = Attempt("one", "m", "upstream_unavailable", is_asked=True)
REFUSED = Attempt("one", "m", "breaker_open", is_asked=False)

CALL = Call(
    number=0,
    keys={},
    is_stream=True,
    at=10.0,
    over_at=20.0,
    ended_at=11.0,
    text="tick tock",
    provider="one",
    kinds=KINDS,
    attempts=[ANSWERED],
)
FAILED = replace(
    CALL, reason="UPSTREAM_TRUNCATED", text="tick", kinds=KINDS[:2], attempts=[], told=1
)
ASKED = Asked(
    call=0,
    provider="one",
    model="m",
    key="ours",
    text="tick tock",
    mood="ok",
    at=10.0,
    is_whole=True,
    ended_at=11.0,
)
CUT = replace(ASKED, is_whole=False)
OTHER = replace(ASKED, provider="two", key="theirs")
LATE = replace(ASKED, at=20.5)


def faults(call: Call, *asked: Asked) -> list[str]:
    """Return what is wrong with a call, for which these requests were made."""
    keys = {"one": {"m": "ours"}, "two": {"m": "theirs"}}
    return Ledger(keys=keys, slots={"one": 1}, calls=[call], asked=[*asked]).faults()


@pytest.mark.parametrize(
    ("call", "asked"),
    [
        pytest.param(CALL, [ASKED], id="answer"),
        pytest.param(FAILED, [CUT], id="cut answer"),
        pytest.param(replace(CALL, attempts=[LOST, ANSWERED]), [ASKED], id="lost request"),
        pytest.param(replace(CALL, attempts=[REFUSED, ANSWERED]), [ASKED], id="breaker"),
        pytest.param(replace(CALL, keys={"one": "own"}), [replace(ASKED, key="own")], id="own key"),
        pytest.param(replace(FAILED, reason="LEFT", told=None), [CUT], id="caller that left"),
        pytest.param(
            replace(CALL, reason="DEADLINE_EXCEEDED"), [ASKED], id="caller's own deadline"
        ),
    ],
)
def test_promises_that_were_kept(call: Call, asked: list[Asked]) -> None:
    """What follows from what providers were asked is no fault."""
    assert faults(call, *asked) == []


@pytest.mark.parametrize(
    ("call", "asked", "fault"),
    [
        pytest.param(replace(CALL, text="tock"), [ASKED], "nobody's answer", id="other text"),
        pytest.param(FAILED, [replace(CUT, text="tock")], "nobody's answer", id="other cut text"),
        pytest.param(CALL, [CUT], "OK without a whole answer", id="cut answer"),
        pytest.param(CALL, [], "nobody's answer", id="answer of nobody"),
        pytest.param(CALL, [OTHER], "another provider's", id="answer of another"),
        pytest.param(replace(CALL, kinds=KINDS[1:]), [ASKED], "without a beginning", id="start"),
        pytest.param(replace(CALL, kinds=KINDS[:2]), [ASKED], "without an end", id="end"),
        pytest.param(replace(FAILED, kinds=KINDS), [CUT], "without an end", id="failure and end"),
        pytest.param(CALL, [ASKED, ASKED], "other requests", id="untold request"),
        pytest.param(
            replace(CALL, attempts=[ANSWERED] * 2), [ASKED], "other requests", id="unmade"
        ),
        pytest.param(FAILED, [ASKED, CUT], "fewer requests", id="fewer told of"),
        pytest.param(replace(FAILED, reason="INTERNAL"), [CUT], "without a cause", id="cause"),
        pytest.param(replace(CALL, ended_at=21.0), [ASKED], "too late", id="late end"),
        pytest.param(CALL, [LATE], "after its caller left", id="late request"),
        pytest.param(CALL, [replace(ASKED, closed_at=20.5)], "left", id="late close"),
        pytest.param(CALL, [replace(ASKED, key="theirs")], "another key", id="key of another"),
        pytest.param(replace(CALL, keys={"one": "own"}), [ASKED], "another key", id="our key"),
        pytest.param(CALL, [ASKED] * 12, "asked again 11 times", id="too many retries"),
        pytest.param(CALL, [ASKED] * 2, "2 at once", id="too many at once"),
    ],
)
def test_promises_that_were_broken(call: Call, asked: list[Asked], fault: str) -> None:
    """What does not follow is told."""
    assert any(fault in each for each in faults(call, *asked))
