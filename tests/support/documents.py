"""The repository's documents: what is shown in them, so that tests can see it hold."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = (
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *(ROOT / folder / "README.md" for folder in ("clients", "clients/node", "deploy")),
)

_FENCE = re.compile(r"^```(\w*) ?([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)#\s]*)#?([^)\s]*)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """What stands between two fences: in which language, and what the fence says beside it."""

    language: str
    note: str
    text: str


@dataclass(frozen=True)
class Document:
    """A page of Markdown, as its readers take it."""

    path: Path

    @property
    def text(self) -> str:
        return self.path.read_text()

    @property
    def blocks(self) -> list[Block]:
        return [Block(*found) for found in _FENCE.findall(self.text)]

    @property
    def commands(self) -> list[str]:
        """The lines that are to be typed into a shell, and those of pipelines."""
        prose = re.sub(r"\\\n\s*", "", self.text)
        typed = re.findall(r"^ {4}(prompt-resolver .+)$", prose, re.MULTILINE)
        shown = re.findall(r"^(?:\$|.*- run:) (prompt-resolver .+)$", prose, re.MULTILINE)
        return typed + shown

    @property
    def links(self) -> list[tuple[Path, str]]:
        """The files of the repository that are linked to, and at which headings."""
        found = _LINK.findall(_FENCE.sub("", self.text))
        return [
            (self.path.parent / path if path else self.path, anchor)
            for path, anchor in found
            if "://" not in path
        ]

    @property
    def anchors(self) -> set[str]:
        """The headings, as links write them."""
        headings = _HEADING.findall(_FENCE.sub("", self.text))
        return {
            re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
            for heading in headings
        }


def read_documents() -> list[Document]:
    return [Document(path) for path in DOCUMENTS]
