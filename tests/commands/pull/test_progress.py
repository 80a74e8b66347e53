"""How far a pull is, is told to people by a bar, and to files by lines."""

import io

from typing_extensions import override

from prompt_resolver_server.commands.pull.progress import Progress, printable


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    @override
    def isatty(self) -> bool:
        return True


def run(stream: io.StringIO) -> str:
    progress = Progress(stream)
    progress.begin(2)
    progress.step("a", "written", is_news=True)
    progress.tell("b: broken")
    progress.step("b", "failed", is_news=False)
    progress.end()
    return stream.getvalue()


def test_lines() -> None:
    """What is no terminal gets a line for what is news, and no bar."""
    assert run(io.StringIO()) == "written a\nb: broken\n"


def test_bar() -> None:
    """A terminal gets a bar, which makes way for lines and is gone in the end."""
    shown = run(Terminal())

    assert "\r\x1b[K[############............] 1/2 a" in shown
    assert "\r\x1b[Kb: broken\n" in shown
    assert shown.endswith("\r\x1b[K")


def test_printable() -> None:
    """What would talk to the terminal does not get there."""
    assert printable("a\x1b[2Jb\r\n") == "a\ufffd[2Jb\ufffd\ufffd"
