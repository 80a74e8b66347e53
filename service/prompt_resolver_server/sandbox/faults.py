"""Why a job is not done."""

from collections.abc import Mapping

from .protocol import MAX_OUTPUT, Fault


class RefusedError(Exception):
    """The template is at fault. `text` is the index of one of its texts, `line` one from 1 on."""

    def __init__(self, fault: Fault, expected: str, line: int | None = None) -> None:
        super().__init__(fault)
        self.fault = fault
        self.expected = expected
        self.line = line
        self.text: int | None = None


class UnfitError(Exception):
    """The variables are at fault: by name or path, what is wrong."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("unfit")
        self.problems = dict(problems)


def output_exhausted() -> RefusedError:
    """Return the error for a template that makes more than may come out."""
    return RefusedError("budget", f"expected it to make at most {MAX_OUTPUT} bytes")
