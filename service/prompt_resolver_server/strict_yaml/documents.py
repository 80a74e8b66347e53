"""One document: its values, and the line of each."""

from dataclasses import dataclass, field

import yaml
from typing_extensions import override

from ..domain.parameters import Json
from .json_values import extract
from .scalars import NumberError, read_plain

Path = tuple[str | int, ...]

_MAX_DEPTH = 64
_MAX_NODES = 100_000

# What a node without a tag is told by. A tag that spells one of them says what is so anyway.
_PLAIN = "plain"
_QUOTED = "quoted"
_MAPPING = "mapping"
_SEQUENCE = "sequence"

# In an editor they are no lines of their own either: one in a text must not begin a field.
_BREAKS = "\x85\u2028\u2029"
_PRIVATE = range(0xE000, 0xF900)


class YamlError(Exception):
    """A document that is not what it should be: what is wrong, and in which line, from 1."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


class _NoYamlError(YamlError):
    """A document that is no YAML at all, as far as the library knows it."""


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
    try:
        return _parse(text, aliases)
    except _NoYamlError:
        extracted = extract(text)
        if not extracted.values:
            raise
        document = _parse(extracted.text, aliases)
        value = extracted.restore(document.value)
        if value is None:
            raise
        return Document(value, document.lines)


def _parse(text: str, aliases: bool) -> Document:
    hidden = _hide_breaks(text)
    try:
        loader = _Loader(text.translate(hidden) if hidden else text)
    except UnicodeEncodeError:
        raise YamlError("not valid YAML", 1) from None
    try:
        root = loader.get_single_node()
        lines: dict[Path, int] = {}
        if root is None:
            return Document({}, lines)
        shown = {ord(stand_in): code for code, stand_in in hidden.items()}
        return Document(_Reader(lines, aliases, shown).read(root, ()), lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        # The scanner's and the parser's own words are fixed texts; the composer's quote the
        # document.
        fixed = isinstance(error, yaml.scanner.ScannerError | yaml.parser.ParserError)
        problem = f": {error.problem}" if fixed and error.problem else ""
        # What is missing is missed at the end, which may be a line after the last one.
        line = min(mark.line, text.rstrip("\n").count("\n")) + 1 if mark else 1
        raise _NoYamlError(f"not valid YAML{problem}", line) from None
    except (yaml.YAMLError, RecursionError):
        raise _NoYamlError("not valid YAML", 1) from None
    finally:
        loader.dispose()


def _hide_breaks(text: str) -> dict[int, str]:
    """Return what stands for the characters that end a line in YAML 1.1, and in 1.2 do not."""
    found = [each for each in _BREAKS if each in text]
    if not found:
        return {}
    taken = set(text)
    free = (chr(code) for code in _PRIVATE if chr(code) not in taken)
    hidden = dict(zip(map(ord, found), free, strict=False))
    if len(hidden) < len(found):
        raise YamlError("not valid YAML", 1)
    return hidden


class _Loader(yaml.CSafeLoader):
    """Makes nodes, and leaves it to others what is in them."""

    @override
    def resolve(self, kind: type[yaml.Node], value: object, implicit: object) -> str:
        """Return the tag of a node that has none: of a scalar, whether it stands in quotes."""
        if kind is yaml.ScalarNode:
            return _PLAIN if isinstance(implicit, tuple) and implicit[0] else _QUOTED
        return _MAPPING if kind is yaml.MappingNode else _SEQUENCE


class _Reader:
    """Turns the nodes of one document into plain data."""

    def __init__(self, lines: dict[Path, int], aliases: bool, shown: dict[int, int]) -> None:
        self._lines = lines
        self._aliases = aliases
        self._shown = shown
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
        match node:
            case yaml.MappingNode() if node.tag == _MAPPING:
                return self._read_mapping(node, path)
            case yaml.SequenceNode() if node.tag == _SEQUENCE:
                return [self.read(item, (*path, index)) for index, item in enumerate(node.value)]
            case yaml.ScalarNode():
                return self._read_scalar(node, path)
            case _:
                raise _tagged(node)

    def _read_mapping(self, node: yaml.MappingNode, path: Path) -> Json:
        result: dict[str, Json] = {}
        inherited: dict[str, Json] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == _PLAIN and key_node.value == "<<":
                if not self._aliases:
                    raise YamlError("expected nothing to merge (`<<`)", line)
                inherited = {**self._read_merged(value_node, path), **inherited}
                continue
            key = self._read_key(key_node)
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

    def _read_key(self, node: yaml.Node) -> str:
        line = node.start_mark.line + 1
        if not isinstance(node, yaml.ScalarNode):
            raise YamlError("expected text as a key", line)
        key = self._read_scalar(node, ())
        if not isinstance(key, str):
            raise YamlError("expected text as a key", line)
        return key

    def _read_scalar(self, node: yaml.ScalarNode, path: Path) -> Json:
        text: str = node.value.translate(self._shown) if self._shown else node.value
        if node.tag == _QUOTED:
            return text
        if node.tag != _PLAIN:
            raise _tagged(node)
        try:
            return read_plain(text)
        except NumberError as error:
            raise YamlError(f"{_name(path)}{error.expected}", node.start_mark.line + 1) from None


def _tagged(node: yaml.Node) -> YamlError:
    return YamlError("expected plain data, not a tag", node.start_mark.line + 1)


def _name(path: Path) -> str:
    return ".".join(map(str, path)) + ": " if path else ""
