"""A history in which a promise was broken is told from one in which all were kept."""

import pytest

from tests.support.history import History, Said, Served, Told, Trouble

TTL_S = 1.0


def call(at: float, *, age_s: float = 0.0, version: str = "1", **more: object) -> Served:
    """Return a call that takes no time, and is served by the store unless it says otherwise."""
    told = {"store": "hl", "cache": "HIT", "refresh": False, "stale": False, "reason": "", **more}
    return Served(
        life="one",
        asked="hl",
        prompt="p",
        key="ours",
        began_at=at,
        at=at,
        version=version,
        age_s=age_s,
        **told,  # type: ignore[arg-type]
    )


def confirmed(at: float, version: str = "1", key: str = "ours") -> Said:
    return Said("p", key, at, at, "confirmed", version)


def history(*happened: Said | Served | Told | Trouble) -> History:
    """Return a history of one process, in which the store has said the version 1 at 10."""
    written = History(ttl_s=TTL_S, timeout_s=0.5, lives=1, fallbacks=frozenset({"baked"}))
    for each in (confirmed(10.0), *happened):
        match each:
            case Said():
                written.said.append(each)
            case Served():
                written.served.append(each)
            case Told():
                written.told.append(each)
            case Trouble():
                written.troubles.append(each)
    return written


def down(began_at: float, ended_at: float) -> Trouble:
    return Trouble(began_at, is_down=True, ended_at=ended_at)


GOOD = {
    "an age": [call(10.5, age_s=0.5)],
    "an edit and its reverse": [
        confirmed(11.0, "2"),
        call(11.0, version="2"),
        confirmed(12.0),
        call(12.0),
    ],
    "an outage": [
        down(11.0, 60.0),
        call(50.0, age_s=40.0, cache="STALE", stale=True),
        confirmed(61.5),
        call(63.0, age_s=1.5),
    ],
    "removed": [
        Said("p", "ours", 11.0, 11.0, "absent"),
        call(14.0, store="", version="", reason="PROMPT_NOT_FOUND"),
        confirmed(15.0),
        call(15.0),
    ],
    "a fallback": [down(11.0, 60.0), call(50.0, store="baked", cache="FALLBACK")],
    "a watch": [Told("w", "p", "ours", 10.0, "SNAPSHOT", "hl", "1")],
}

BAD = {
    "never said": [call(10.5, version="2")],
    "said to somebody else": [confirmed(10.0, "2", key="callers"), call(10.5, version="2")],
    "said later": [confirmed(12.0, "2"), call(11.0, version="2")],
    "too young": [call(11.5, age_s=0.5)],
    "went back": [confirmed(11.0, "2"), call(11.0, version="2"), call(11.5, age_s=1.5)],
    "stale without a cause": [call(11.5, age_s=1.5, stale=True)],
    "stale for too long": [down(11.0, 20.0), call(23.0, age_s=13.0, cache="STALE", stale=True)],
    "served what was removed": [
        Said("p", "ours", 11.0, 11.0, "absent"),
        call(14.0, age_s=4.0),
    ],
    "served for ever": [call(10.5, age_s=0.5), call(14.0, age_s=4.0), call(18.0, age_s=8.0)],
    "failed without a cause": [call(11.0, store="", version="", reason="STORE_UNAVAILABLE")],
    "absent without a cause": [call(11.0, store="", version="", reason="PROMPT_NOT_FOUND")],
    "a fallback in disguise": [call(11.0, store="baked", version="9")],
    "two at once": [
        Said("p", "ours", 11.0, 12.0, "confirmed", "1"),
        Said("p", "ours", 11.5, 12.0, "confirmed", "1"),
    ],
    "asked too often": [
        down(20.0, 30.0),
        *[Said("p", "ours", 20 + number / 4, 20 + number / 4, "failed") for number in range(40)],
        call(31.0, age_s=21.0, stale=True),
    ],
    "a watch of what is somebody else's": [
        confirmed(10.0, "2", key="callers"),
        Told("w", "p", "ours", 10.5, "UPDATED", "hl", "2"),
    ],
}


@pytest.mark.parametrize("happened", GOOD.values(), ids=GOOD)
def test_kept(happened: list[Said | Served | Told | Trouble]) -> None:
    """What was promised is no fault."""
    assert history(*happened).faults() == []


@pytest.mark.parametrize("happened", BAD.values(), ids=BAD)
def test_broken(happened: list[Said | Served | Told | Trouble]) -> None:
    """Every promise that was broken is told."""
    assert history(*happened).faults()
