"""Templates that keep exhausting the workers are refused for a while."""

from prompt_resolver_server.rendering.offenders import Offenders


def test_barred() -> None:
    """Three offences in a row bar a source for five seconds, and no other source."""
    now = [100.0]
    offenders = Offenders(lambda: now[0])
    for _ in range(3):
        assert not offenders.is_barred(b"one")
        offenders.offend(b"one")

    assert offenders.is_barred(b"one")
    assert not offenders.is_barred(b"two")
    now[0] += 4.9
    assert offenders.is_barred(b"one")
    now[0] += 0.2
    assert not offenders.is_barred(b"one")
    offenders.offend(b"one")
    assert not offenders.is_barred(b"one")


def test_forgiven() -> None:
    """Who renders in time in between begins anew: its callers' values may have been too much."""
    offenders = Offenders(lambda: 0.0)
    for _ in range(5):
        offenders.offend(b"one")
        offenders.offend(b"one")
        offenders.forgive(b"one")

    assert not offenders.is_barred(b"one")


def test_bounded() -> None:
    """No more than a thousand sources are remembered."""
    offenders = Offenders(lambda: 0.0)
    for number in range(2000):
        offenders.offend(str(number).encode())

    assert len(offenders._counts) == 1000
