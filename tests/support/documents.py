"""The repository's documents: what is shown in them, so that tests can see it hold."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[2]
DOCUMENTS = (
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "clients" / "README.md",
    *sorted((ROOT / "clients").glob("*/README.md")),
    ROOT / "deploy" / "README.md",
)

# Between fences, or indented: what stands so is to be typed.
_PIECE = re.compile(
    r"^```(\w*) ?([^\n]*)\n(.*?)^```$|((?:^ {4}[^\n]*\n)+)", re.MULTILINE | re.DOTALL
)
_SPAN = re.compile(r"`([^`]+)`")
_LINK = re.compile(r"\]\(([^)#\s]*)#?([^)\s]*)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)

# What a command begins with, wherever it stands.
PROGRAMS = frozenset(
    ("buf", "curl", "docker", "envoy", "git", "go", "grpcurl", "helm", "kubectl", "make", "mvn")
    + ("node", "npm", "openssl", "pip", "podman", "prompt-resolver", "promtool", "python")
)


@dataclass(frozen=True)
class Block:
    """What is shown apart: in which language, and what its fence says beside it.

    What is indented is `sh`, as it is to be typed.
    """

    language: str
    note: str
    text: str

    @property
    def path(self) -> str:
        """Where it belongs, if it is a file: the fence's last word."""
        word = self.note.rpartition(" ")[2]
        return word if "." in word else ""

    @property
    def commands(self) -> list[str]:
        """What is to be typed, one by one, each as it stands; of a session, without the answers."""
        match self.language:
            case "sh":
                return list(_split(self.text))
            case "console":
                return re.findall(r"^\$ (.+)$", self.text, re.MULTILINE)
            case "yaml":
                return re.findall(r"^ *- run: (.+)$", self.text, re.MULTILINE)
            case _:
                return []


@dataclass(frozen=True)
class Document:
    """A page of Markdown, as its readers take it."""

    path: Path

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def text(self) -> str:
        return self.path.read_text()

    @property
    def blocks(self) -> list[Block]:
        return [
            Block("sh", "", dedent(typed)) if typed else Block(language, note, text)
            for language, note, text, typed in _PIECE.findall(self.text)
        ]

    @property
    def commands(self) -> list[str]:
        """Every command that is shown apart."""
        return [command for block in self.blocks for command in block.commands]

    @property
    def mentioned_commands(self) -> list[str]:
        """Every command that is within a sentence or a table."""
        spans = (re.sub(r"\s+", " ", span) for span in _SPAN.findall(self._prose))
        return [span for span in spans if is_command(span)]

    @property
    def links(self) -> list[tuple[Path, str]]:
        """The files of the repository that are linked to, and at which headings."""
        return [
            (self.path.parent / path if path else self.path, anchor)
            for path, anchor in _LINK.findall(self._prose)
            if "://" not in path
        ]

    @property
    def anchors(self) -> set[str]:
        """The headings, as links write them."""
        return {
            re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
            for heading in _HEADING.findall(self._prose)
        }

    @property
    def _prose(self) -> str:
        return _PIECE.sub("", self.text)


def is_command(text: str) -> bool:
    """Tell whether a line is one that could be typed, and is more than a program's name."""
    program, _, rest = text.strip().partition(" ")
    return program in PROGRAMS and bool(rest)


def split_words(command: str) -> list[str]:
    """Return a command's words, as a shell takes them: without comments, and lines that go on."""
    return shlex.split(command.replace("\\\n", ""), comments=True)


def _split(script: str) -> Iterator[str]:
    """Yield the commands of a script, those of several lines too."""
    command = ""
    for line in script.splitlines(keepends=True):
        command += line
        if not line.rstrip().endswith("\\") and _is_whole(command):
            if command.strip():
                yield command.strip()
            command = ""
    assert not command, f"expected a whole command, got {command}"


def _is_whole(command: str) -> bool:
    try:
        split_words(command)
    except ValueError:
        return False
    return True


def read_documents() -> list[Document]:
    return [Document(path) for path in DOCUMENTS]
