"""YAML without surprises: plain data only, no duplicate keys, and the line of everything.

Both the configuration and the headers of prompt files are read with it. What it refuses, it refuses
with the line and a text that quotes nothing of the document.
"""

import math
from dataclasses import dataclass, field
from datetime import date

import yaml

from .domain.parameters import Json

Path = tuple[str | int, ...]

_MAX_DEPTH = 64
_MAX_NODES = 100_000


class YamlError(Exception):
    """A document that is not what it should be: what is wrong, and in which line, from 1."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


@dataclass(frozen=True, slots=True)
class Document:
    """What a document holds, and where."""

    value: Json = field(repr=False)
    lines: dict[Path, int] = field(repr=False)

    def line(self, path: Path) -> int:
        """Return the line of the value at this path, or of the closest one above it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def parse(text: str, *, aliases: bool) -> Document:
    """Read one document; an empty one is an empty mapping.

    Anchors with aliases, which can make a small document large, are refused unless `aliases` is
    set. Raises `YamlError`.
    """
    loader = yaml.CSafeLoader(text)
    try:
        root = loader.get_single_node()
        lines: dict[Path, int] = {}
        if root is None:
            return Document({}, lines)
        return Document(_Reader(loader, lines, aliases).read(root, ()), lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        # The scanner's and the parser's own words are fixed texts; the composer's quote the
        # document.
        fixed = isinstance(error, yaml.scanner.ScannerError | yaml.parser.ParserError)
        problem = f": {error.problem}" if fixed and error.problem else ""
        # What is missing is missed at the end, which may be a line after the last one.
        line = min(mark.line, text.rstrip("\n").count("\n")) + 1 if mark else 1
        raise YamlError(f"not valid YAML{problem}", line) from None
    except (yaml.YAMLError, RecursionError):
        raise YamlError("not valid YAML", 1) from None
    finally:
        loader.dispose()


class _Reader:
    """Turns the nodes of one document into plain data."""

    def __init__(self, loader: yaml.CSafeLoader, lines: dict[Path, int], aliases: bool) -> None:
        self._loader = loader
        self._lines = lines
        self._aliases = aliases
        self._seen: set[int] = set()
        self._count = 0

    def read(self, node: yaml.Node, path: Path) -> Json:
        line = node.start_mark.line + 1
        self._lines[path] = line
        self._count += 1
        if len(path) > _MAX_DEPTH:
            raise YamlError(f"nested more than {_MAX_DEPTH} levels deep", line)
        if self._count > _MAX_NODES:
            raise YamlError(f"more than {_MAX_NODES} values", line)
        if id(node) in self._seen and not self._aliases:
            raise YamlError("expected no aliases (`*name`)", line)
        self._seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            return self._read_mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            self._check_tag(node, "tag:yaml.org,2002:seq")
            return [self.read(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._read_scalar(node, line, path)

    def _read_mapping(self, node: yaml.MappingNode, path: Path) -> Json:
        self._check_tag(node, "tag:yaml.org,2002:map")
        result: dict[str, Json] = {}
        inherited: dict[str, Json] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if self._aliases and key_node.tag == "tag:yaml.org,2002:merge":
                inherited = {**self._read_merged(value_node, path), **inherited}
                continue
            key = self._loader.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise YamlError("expected text as a key", line)
            if key in result:
                raise YamlError(f"expected each key once, {key!r} comes twice", line)
            result[key] = self.read(value_node, (*path, key))
            self._lines[(*path, key)] = line
        return {**inherited, **result}

    def _read_merged(self, node: yaml.Node, path: Path) -> dict[str, Json]:
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        merged: dict[str, Json] = {}
        for source in sources:
            values = self.read(source, path)
            if not isinstance(values, dict):
                raise YamlError("expected mappings to merge", source.start_mark.line + 1)
            merged = {**values, **merged}
        return merged

    def _read_scalar(self, node: yaml.Node, line: int, path: Path) -> Json:
        try:
            value: object = self._loader.construct_object(node, deep=True)
        except (yaml.YAMLError, ValueError):
            raise YamlError("expected plain data, not a tag", line) from None
        if isinstance(value, date):
            return value.isoformat()
        if isinstance(value, float) and not math.isfinite(value):
            raise YamlError(f"{_name(path)}expected a finite number", line)
        if isinstance(value, int) and not -(2**63) <= value < 2**64:
            # What no JSON library of a provider could read.
            raise YamlError(f"{_name(path)}expected a smaller number", line)
        if value is None or isinstance(value, bool | int | float | str):
            return value
        raise YamlError("expected plain data, not a tag", line)

    @staticmethod
    def _check_tag(node: yaml.Node, expected: str) -> None:
        if node.tag != expected:
            raise YamlError("expected plain data, not a tag", node.start_mark.line + 1)


def _name(path: Path) -> str:
    return ".".join(map(str, path)) + ": " if path else ""
