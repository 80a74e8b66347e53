"""The text of a prompt's file, to tell where in it something stands."""

import re
from bisect import bisect_right
from functools import cached_property

from ...templates.formats.prompt_file import find_header
from .findings import NOWHERE, Place


class Source:
    """A file's text. What is no UTF-8 in it stands for nothing."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.text = content.decode("utf-8-sig", "replace").replace("\r\n", "\n")

    @cached_property
    def header(self) -> range:
        """Where the fields stand: of a document everywhere, and of a text alone nowhere."""
        # What begins with two braces is a text in which a variable comes first.
        if re.match(r"\s*\{(?!\{)", self.text):
            return range(len(self.text))
        return find_header(self.text)

    @property
    def body(self) -> str:
        """What follows the header; nothing in a document."""
        header = self.header
        return self.text[header.stop :].partition("\n")[2] if header else self.text

    def find(self, text: str) -> Place:
        """Return where a text first stands."""
        position = self.text.find(text)
        return NOWHERE if position < 0 else self.place(position)

    def find_attribute(self, value: str) -> Place:
        """Return where a value first stands in quotes."""
        found = [self.text.find(f"{quote}{value}{quote}") for quote in ('"', "'")]
        there = [position for position in found if position >= 0]
        return self.place(min(there) + 1) if there else NOWHERE

    def find_line(self, text: str, line: int) -> Place:
        """Return where a line of a text of several is, wherever in the file the text stands.

        It may be indented there.
        """
        outdented = _outdented(self.text)
        position = outdented.find(_outdented(text))
        return NOWHERE if position < 0 else Place(outdented.count("\n", 0, position) + line)

    def find_variable(self, name: str) -> Place:
        """Return where a variable is first used: its name, alone between what may be around it."""
        alone = rf"(?<![\w.-]){re.escape(name)}(?![\w-])"
        match = re.search(rf"(?<!\{{)\{{++[^{{}}]*?{alone}", self.text)
        return NOWHERE if match is None else self.place(match.start())

    def find_key(self, name: str) -> Place:
        """Return where a key of this name first stands at the start of a line."""
        start = r"""^[ \t]*+(?:-[ \t]+)?["']?"""
        match = re.search(rf"{start}({re.escape(name)})\b", self.text, re.MULTILINE)
        return NOWHERE if match is None else self.place(match.start(1))

    def place(self, position: int) -> Place:
        """Return the place of a character."""
        line = bisect_right(self._starts, position)
        return Place(line, position - self._starts[line - 1] + 1)

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *(match.end() for match in re.finditer("\n", self.text))]


def _outdented(text: str) -> str:
    """Return a text without what its lines begin and end with that does not show."""
    return "\n".join(line.strip() for line in text.split("\n"))
