"""What keeps exhausting the workers is refused for a while, and nothing else is."""

from prompt_resolver_server.rendering.offenders import Errand, Offenders


def errand(source: str = "one", variables: str = "", caller: str = "") -> Errand:
    return Errand(caller, source.encode(), f"{source} {variables}".encode())


def test_barred() -> None:
    """Three offences in a row bar a job for five seconds, whoever has it, and no other job."""
    now = [100.0]
    offenders = Offenders(lambda: now[0])
    offenders.prove(b"one")
    for _ in range(3):
        assert not offenders.barred_s(errand())
        offenders.offend(errand())

    assert offenders.barred_s(errand()) == offenders.barred_s(errand(caller="ada")) == 5.0
    assert not offenders.barred_s(errand(variables="others"))
    assert not offenders.barred_s(errand("two"))
    now[0] += 4.5
    assert offenders.barred_s(errand()) == 0.5
    now[0] += 0.5
    assert not offenders.barred_s(errand())
    offenders.offend(errand())
    assert not offenders.barred_s(errand())


def test_source_that_never_rendered() -> None:
    """A source that has done nothing else is barred whatever its variables are."""
    offenders = Offenders(lambda: 0.0)
    for number in range(3):
        offenders.offend(errand(variables=str(number)))

    assert offenders.barred_s(errand(variables="new")) == 5.0
    assert not offenders.barred_s(errand("two"))


def test_source_that_rendered() -> None:
    """A source that has been rendered for anybody is barred for nobody's variables but those."""
    offenders = Offenders(lambda: 0.0)
    offenders.prove(b"one")
    for number in range(99):
        offenders.offend(errand(variables=str(number), caller="eve"))

    assert not offenders.barred_s(errand(variables="0", caller="ada"))
    assert not offenders.barred_s(errand(variables="new", caller="eve"))


def test_forgiven() -> None:
    """Who comes back in time in between begins anew: its machine may have been busy."""
    offenders = Offenders(lambda: 0.0)
    for _ in range(5):
        offenders.offend(errand())
        offenders.offend(errand())
        offenders.forgive(errand())

    assert not offenders.barred_s(errand())


def test_suspects() -> None:
    """A source is a suspect for five seconds, for the caller for whom it exhausted a worker."""
    now = [100.0]
    offenders = Offenders(lambda: now[0])
    offenders.offend(errand(caller="eve"))
    offenders.forgive(errand(caller="eve"))

    assert offenders.is_suspect(errand(variables="others", caller="eve"))
    assert not offenders.is_suspect(errand(caller="ada"))
    assert not offenders.is_suspect(errand("two", caller="eve"))
    now[0] += 5
    assert not offenders.is_suspect(errand(caller="eve"))


def test_bounded() -> None:
    """No more than a thousand of each are remembered, and ten thousand that render."""
    offenders = Offenders(lambda: 0.0)
    for number in range(11_000):
        offenders.prove(str(number).encode())
        if number < 2_000:
            offenders.offend(errand(str(number)))

    assert [len(each._counts) for each in (offenders._jobs, offenders._sources)] == [1000, 1000]
    assert (len(offenders._suspects), len(offenders._proven)) == (1000, 10_000)
