"""What no Jinja2 template may hold, told before it is run.

The limits of the worker hold whatever a template does; this names the reason to its author.
"""

import inspect
from functools import cache

from jinja2 import nodes
from jinja2.filters import FILTERS as ALL_FILTERS
from jinja2.tests import TESTS as ALL_TESTS

from ..faults import RefusedError
from .environment import FILTERS, FUNCTIONS, MAX_INDENT, MAX_RANGE, METHODS, TESTS, environment

_UNDERSCORE = "expected no attribute that begins with an underscore"
_MAX_NODES = 5_000
_MAX_DEPTH = 60

_BY_ATTRIBUTE = frozenset(
    {
        *("groupby", "join", "map", "max", "min", "rejectattr", "selectattr", "sort", "sum"),
        "unique",
    }
)
_SURROUNDINGS = ("context", "env", "environment", "eval_ctx")


def check(tree: nodes.Template) -> None:
    """Raise `RefusedError` for the first thing that is forbidden, or for too much of anything."""
    _check_size(tree)
    made = {name.name for name in tree.find_all(nodes.Name) if name.ctx != "load"}
    made |= {macro.name for macro in tree.find_all(nodes.Macro)}
    for node in tree.find_all(nodes.Node):
        problem = _forbidden(node, made)
        if problem is not None:
            raise RefusedError("forbidden", problem, node.lineno)


def _check_size(tree: nodes.Template) -> None:
    """Raise for a tree that is larger than may be. Whatever recurs would fall over it."""
    layer: list[nodes.Node] = [tree]
    count = 0
    for _ in range(_MAX_DEPTH):
        count += len(layer)
        if count > _MAX_NODES:
            raise RefusedError("budget", f"expected at most {_MAX_NODES} elements")
        layer = [child for node in layer for child in node.iter_child_nodes()]
        if not layer:
            return
    raise RefusedError("budget", f"expected at most {_MAX_DEPTH} levels", layer[0].lineno)


def _forbidden(node: nodes.Node, made: set[str]) -> str | None:
    match node:
        case nodes.Include() | nodes.Import() | nodes.FromImport() | nodes.Extends():
            return "expected a template that loads no other one"
        case nodes.Block():
            return "expected no blocks, as no template extends another one"
        case nodes.Getattr() | nodes.Getitem():
            return _forbidden_attribute(node)
        case nodes.BinExpr():
            return _forbidden_operator(node)
        case nodes.Filter():
            return _forbidden_filter(node)
        case nodes.Test(name=name) if name not in TESTS:
            return _unknown("test", name, ALL_TESTS, node)
        case nodes.Call():
            return _forbidden_call(node, made)
        case _:
            return None


def _forbidden_attribute(node: nodes.Getattr | nodes.Getitem) -> str | None:
    match node:
        case nodes.Getattr(attr=str() as name) if name.startswith("_"):
            return _UNDERSCORE
        case nodes.Getitem(arg=nodes.Const(value=str() as name)) if name.startswith("__"):
            return _UNDERSCORE
        case _:
            return None


def _forbidden_operator(node: nodes.BinExpr) -> str | None:
    match node:
        case nodes.Pow():
            return "expected no `**`"
        case nodes.Mod(left=nodes.Const(value=str()) | nodes.Concat()):
            return "expected no `%` on a text"
        case nodes.Mul(left=left, right=right) if _is_repeated(left) or _is_repeated(right):
            return "expected no `*` on a text or a list"
        case _:
            return None


def _forbidden_filter(node: nodes.Filter) -> str | None:
    if node.name not in FILTERS:
        return _unknown("filter", node.name, ALL_FILTERS, node)
    if not _fits(node):
        raise RefusedError("invalid", "expected a filter with arguments that it has", node.lineno)
    constants = [each.value for each in node.find_all(nodes.Const)]
    if node.name in _BY_ATTRIBUTE and any(
        isinstance(value, str) and "__" in value for value in constants
    ):
        return _UNDERSCORE
    match node:
        case nodes.Filter(name="indent", args=[nodes.Const(value=int() as width), *_]) if (
            width > MAX_INDENT
        ):
            return f"expected an indent of at most {MAX_INDENT}"
        case _:
            return None


def _fits(node: nodes.Filter) -> bool:
    """Tell whether a filter takes as many arguments as it is given, and of these names."""
    signature, passed = _signature(node.name)
    if signature is None or node.dyn_args is not None or node.dyn_kwargs is not None:
        return True
    try:
        given = [None] * (passed + len(node.args))
        signature.bind(*given, **{str(each.key): None for each in node.kwargs})
    except TypeError:
        return False
    return True


@cache
def _signature(name: str) -> tuple[inspect.Signature | None, int]:
    """Return a filter's signature, if it tells, and how many arguments come without being given."""
    try:
        signature = inspect.signature(environment().filters[name])
    except ValueError:
        return None, 0
    # The value comes first, or what the filter runs in.
    return signature, 2 if next(iter(signature.parameters)) in _SURROUNDINGS else 1


def _forbidden_call(call: nodes.Call, made: set[str]) -> str | None:
    match call.node:
        case nodes.Name(name="range") if any(_is_huge(each) for each in call.args):
            return f"expected a range of at most {MAX_RANGE}"
        case nodes.Name(name=name) if name in FUNCTIONS or name in made or name == "caller":
            return None
        case nodes.Name(name=name):
            return f"expected one of the functions {', '.join(sorted(FUNCTIONS))}"
        case nodes.Getattr(attr=name) if name in METHODS:
            return None
        case _:
            return f"expected one of the methods {', '.join(sorted(METHODS))}"


def _unknown(kind: str, name: str, known: object, node: nodes.Node) -> str:
    # A name that is not one of Jinja2's may be anything, and is not repeated.
    if isinstance(known, dict) and name in known:
        return f"expected no {kind} {name!r}"
    raise RefusedError("invalid", f"expected a {kind} that there is", node.lineno)


def _is_repeated(node: nodes.Node) -> bool:
    return isinstance(node, nodes.List | nodes.Tuple | nodes.Concat) or (
        isinstance(node, nodes.Const) and isinstance(node.value, str)
    )


def _is_huge(node: nodes.Node) -> bool:
    return (
        isinstance(node, nodes.Const)
        and isinstance(node.value, int)
        and abs(node.value) > MAX_RANGE
    )
