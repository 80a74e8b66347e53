"""What a Handlebars template consists of: its variables, and what it must not hold.

A variable is required where it is printed, or goes through `#each`, `#with` or a helper, outside of
any conditional. What only stands in an `#if`, or is asked about by one, may be absent.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dotpromptz_handlebars import Block, InlinePartial, Mustache, Node, Partial, PartialBlock

# The package parses for itself alone. Its nodes are public, and this is how one gets them.
from dotpromptz_handlebars._render import compile_template
from msgspec.structs import replace

from ...domain.values import Value
from ..faults import RefusedError

ROLES = {"system": "system", "user": "user", "model": "assistant"}
"""The roles of dotprompt, and ours."""

HELPERS = frozenset(
    {"history", "ifEquals", "json", "lookup", "media", "role", "section", "unlessEquals"}
)
_CONDITIONALS = frozenset({"if", "unless", "ifEquals", "unlessEquals"})
_SCOPES = frozenset({"each", "with"})
_LITERALS = frozenset({"true", "false", "null", "undefined"})
_MAX_DEPTH = 60
_MAX_NODES = 10_000
_OUT_OF_REACH = 1000


class Names(Value, frozen=True, kw_only=True):
    """The variables that a template reads, in the order of first use, and those it cannot lack."""

    read: tuple[str, ...]
    required: tuple[str, ...]


def parse(text: str) -> list[Node]:
    """Return a text's nodes. Raises `RefusedError`."""
    try:
        return compile_template(text, max_depth=_MAX_DEPTH)
    except RecursionError:
        raise RefusedError("budget", f"expected at most {_MAX_DEPTH} levels") from None
    except (ValueError, IndexError):
        # Its texts hold the template's.
        raise RefusedError("invalid", "expected the syntax of Handlebars") from None


def find_names(text: str, partials: Mapping[str, str]) -> Names:
    """Return the variables of a template and its partials. Raises `RefusedError`."""
    finder = _Finder(partials)
    try:
        finder.nodes(parse(text), _Place())
    except RecursionError:
        # A partial may include itself at each level anew.
        raise RefusedError("budget", "expected it to end") from None
    return Names(read=tuple(finder.read), required=tuple(finder.required))


class _Place(Value, frozen=True, kw_only=True):
    """Where a node stands: `depth` scopes deep, with the names that blocks made."""

    depth: int = 0
    is_conditional: bool = False
    made: frozenset[str] = frozenset()


class _Finder:
    """Goes through all nodes of a template, whatever would be rendered of them."""

    def __init__(self, partials: Mapping[str, str]) -> None:
        self.read: dict[str, None] = {}
        self.required: dict[str, None] = {}
        self._partials = partials
        self._parsed: dict[str, list[Node]] = {}
        self._seen: set[tuple[str, _Place]] = set()
        self._left = _MAX_NODES

    def nodes(self, nodes: Iterable[Node], place: _Place) -> None:
        for node in nodes:
            self._left -= 1
            if self._left < 0:
                raise RefusedError("budget", f"expected at most {_MAX_NODES} elements")
            self._node(node, place)

    def _node(self, node: Node, place: _Place) -> None:
        match node:
            case Mustache():
                self._call(node.call, place)
            case Block():
                self._block(node, place)
            case Partial():
                self._partial(node.name, node.context_path, node.hash, place)
            case PartialBlock() | InlinePartial():
                raise RefusedError("forbidden", "expected no partials that a template makes itself")
            case _:
                pass

    def _block(self, node: Block, place: _Place) -> None:
        name, args = node.call["name"], node.call["args"]
        maybe = replace(place, is_conditional=True)
        if name in _CONDITIONALS:
            self._tokens(args, maybe)
            self.nodes((*node.body, *node.inverse), maybe)
        elif name in _SCOPES or not args:
            self._tokens(args or [name], place)
            # Of no items, or of an object that is not there, nothing is rendered.
            made = place.made.union(node.call["params"])
            self.nodes(node.body, replace(maybe, depth=place.depth + 1, made=made))
            self.nodes(node.inverse, maybe)
        else:
            raise RefusedError("forbidden", "expected one of dotprompt's helpers")

    def _call(self, call: Mapping[str, Any], place: _Place) -> None:
        name, args, named = call["name"], call["args"], call["hash"]
        if name not in HELPERS:
            if args or named:
                raise RefusedError("forbidden", "expected one of dotprompt's helpers")
            self._tokens([name], place)
            return
        if name == "role":
            _check_role(args)
        self._tokens((*args, *named.values()), place)

    def _partial(
        self, name: str, context: str | None, named: Mapping[str, str], place: _Place
    ) -> None:
        if name.startswith(("(", "@")):
            raise RefusedError("forbidden", "expected the name of a partial as it stands")
        self._tokens((*([context] if context is not None else []), *named.values()), place)
        # With a context of its own, nothing in it is a variable.
        depth = place.depth if context is None else _OUT_OF_REACH
        inside = replace(place, depth=depth, made=place.made.union(named))
        if (name, inside) not in self._seen:
            self._seen.add((name, inside))
            self.nodes(self._parse(name), inside)

    def _parse(self, name: str) -> list[Node]:
        if name not in self._parsed:
            if name not in self._partials:
                raise RefusedError("invalid", "expected a partial that the store has")
            self._parsed[name] = parse(self._partials[name])
        return self._parsed[name]

    def _tokens(self, tokens: Sequence[str], place: _Place) -> None:
        for token in tokens:
            if token.startswith("("):
                if token.count("(") > _MAX_DEPTH:
                    raise RefusedError("budget", f"expected at most {_MAX_DEPTH} levels")
                # A call inside of a call is one as it would stand alone.
                self.nodes(parse("{{" + token[1:-1] + "}}"), place)
            elif (name := _root_name(token, place)) is not None:
                self.read.setdefault(name)
                if not place.is_conditional:
                    self.required.setdefault(name)


def _check_role(args: Sequence[str]) -> None:
    if len(args) != 1 or args[0][:1] not in ("'", '"'):
        raise RefusedError("forbidden", "expected a role that the template itself names")
    if args[0][1:-1] not in ROLES:
        raise RefusedError("invalid", f"expected one of the roles {', '.join(ROLES)}")


def _root_name(token: str, place: _Place) -> str | None:
    """Return the variable that a token reads, or None for a literal, an item or its field."""
    if token[0] in "\"'" or token in _LITERALS or token.lstrip("-").replace(".", "").isdigit():
        return None
    depth = place.depth
    if token.startswith("@"):
        if not token.startswith("@root."):
            return None
        return _first(token.removeprefix("@root."))
    climbed = False
    while token.startswith("../"):
        token, depth, climbed = token[3:], depth - 1, True
    if depth > 0:
        return None
    if token.startswith(("./", "this.", "this/")):
        return _first(token.partition(token[4] if token[0] == "t" else "/")[2])
    name = _first(token)
    if name in (".", "..", "this", "") or (name in place.made and not climbed):
        return None
    return name


def _first(path: str) -> str:
    if path.startswith("["):
        return path[1:].partition("]")[0]
    for index, char in enumerate(path):
        if char in "./" and index:
            return path[:index]
    return path
