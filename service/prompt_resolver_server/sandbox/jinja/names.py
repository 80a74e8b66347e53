"""The variables of a Jinja2 template, without running it."""

from collections.abc import Iterable, Iterator

from jinja2 import nodes

from ...domain.values import Value
from .environment import FUNCTIONS

_OWN = FUNCTIONS | {"caller", "kwargs", "loop", "self", "varargs"}
_GUARDS = frozenset({"defined", "undefined", "none"})


class Names(Value, frozen=True, kw_only=True):
    """The names that a template reads and does not make, in the order of their first use.

    `guarded` are those that the template itself asks about: `is defined`, `is none`, `default`.
    `nullable` are those of which it asks whether they are `none`. `written` are all that stand in
    it, whatever they name: any other name comes from a value.
    """

    read: tuple[str, ...]
    guarded: frozenset[str]
    nullable: frozenset[str]
    written: frozenset[str]

    @property
    def required(self) -> tuple[str, ...]:
        """The names that have to be given."""
        return tuple(name for name in self.read if name not in self.guarded)


def find_names(trees: Iterable[nodes.Template]) -> Names:
    """Return the names in the trees of texts that are rendered with the same variables."""
    finder = _Finder()
    for tree in trees:
        finder.made = set(_OWN)
        finder.visit(tree)
    return Names(
        read=tuple(finder.read),
        guarded=frozenset(finder.guarded),
        nullable=frozenset(finder.nullable),
        written=frozenset(finder.written),
    )


def find_paths(tree: nodes.Template, line: int | None) -> tuple[str, ...]:
    """Return what a line of a template reads, each once: names, with the fields of their values."""
    return tuple(dict.fromkeys(_paths(tree, line)))


class _Finder:
    """Goes through a tree in the order in which it runs.

    A name that was made anywhere before counts as made, even where its scope is over: rendering
    tells of it all the same.
    """

    def __init__(self) -> None:
        self.read: dict[str, None] = {}
        self.made: set[str] = set()
        self.guarded: set[str] = set()
        self.nullable: set[str] = set()
        self.written: set[str] = set()

    def visit(self, node: nodes.Node) -> None:
        self.written.update(_written(node))
        match node:
            case nodes.Name(name=name, ctx="load"):
                if name not in self.made:
                    self.read.setdefault(name)
                return
            case nodes.Name(name=name):
                self.made.add(name)
                return
            case nodes.Macro(name=name):
                self.made.add(name)
            case nodes.Test(node=nodes.Name(name=name), name=test) if test in _GUARDS:
                self.guarded.add(name)
                if test == "none":
                    self.nullable.add(name)
            case nodes.Filter(node=nodes.Name(name=name), name="default" | "d"):
                self.guarded.add(name)
        for child in _in_order(node):
            self.visit(child)


def _written(node: nodes.Node) -> Iterable[str]:
    match node:
        case nodes.Name(name=name) | nodes.Getattr(attr=name):
            return (name,)
        case nodes.Const(value=str() as text):
            # A text may be the path of an attribute.
            return (text, *text.split("."))
        case _:
            return ()


def _in_order(node: nodes.Node) -> Iterator[nodes.Node]:
    """Return the children of a node, those that are read before those that are made."""
    match node:
        case nodes.Assign():
            yield from (node.node, node.target)
        case nodes.AssignBlock():
            yield from (*node.body, node.target)
        case nodes.For():
            yield from (node.iter, node.target)
            yield from ([node.test] if node.test is not None else [])
            yield from (*node.body, *node.else_)
        case nodes.With():
            yield from (*node.values, *node.targets, *node.body)
        case _:
            yield from node.iter_child_nodes()


def _paths(node: nodes.Node, line: int | None) -> Iterator[str]:
    path = _path(node)
    if path is not None:
        if node.lineno == line and path.partition(".")[0] not in _OWN:
            yield path
        return
    children = node.iter_child_nodes()
    if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr):
        # A method is no field.
        children = iter((node.node.node, *node.args, *node.kwargs))
    for child in children:
        yield from _paths(child, line)


def _path(node: nodes.Node) -> str | None:
    match node:
        case nodes.Name(name=name, ctx="load"):
            return str(name)
        case (
            nodes.Getattr(node=inner, attr=field)
            | nodes.Getitem(node=inner, arg=nodes.Const(value=str() as field))
        ) if field.isidentifier():
            path = _path(inner)
            return f"{path}.{field}" if path is not None else None
        case _:
            return None
