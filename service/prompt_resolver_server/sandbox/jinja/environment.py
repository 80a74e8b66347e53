"""The one Jinja2 environment: sandboxed, strict, and with what prompts need and no more."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from jinja2 import Environment, StrictUndefined
from jinja2.defaults import DEFAULT_NAMESPACE
from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS as ALL_FILTERS
from jinja2.runtime import Context, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.tests import TESTS as ALL_TESTS
from typing_extensions import override

from ...domain.parameters import Json
from ..faults import RefusedError, UnfitError, output_exhausted
from ..protocol import MAX_OUTPUT
from ..writing import ValueUnwritableError, write_json

FILTERS = frozenset(
    {
        *("abs", "batch", "capitalize", "count", "d", "default", "dictsort", "first", "float"),
        *("groupby", "indent", "int", "items", "join", "last", "length", "list", "lower", "map"),
        *("max", "min", "reject", "rejectattr", "replace", "reverse", "round", "select"),
        *("selectattr", "slice", "sort", "string", "sum", "title", "tojson", "trim", "truncate"),
        *("unique", "upper", "urlencode", "wordcount", "wordwrap"),
    }
)
TESTS = frozenset(ALL_TESTS) - {"callable", "escaped", "filter", "test"}
METHODS = frozenset(
    {
        *("capitalize", "count", "endswith", "find", "get", "index", "isdigit", "items", "keys"),
        *("lower", "lstrip", "rstrip", "split", "splitlines", "startswith", "strip", "title"),
        *("upper", "values"),
        # Those of `loop`, `cycler` and `joiner`.
        *("changed", "cycle", "next", "reset"),
    }
)
FUNCTIONS = frozenset({"cycler", "dict", "joiner", "namespace", "range"})
MAX_RANGE = 10_000
MAX_INDENT = 100

# More bits are more than any prompt counts to, and powers of them take seconds.
_MAX_BITS = 1024


class _Missing(StrictUndefined):
    """What is not there. Its error is its name, so that the variable can be told."""

    __slots__ = ()

    @property
    @override
    def _undefined_message(self) -> str:
        return str(self._undefined_name or "")


class _JsonText(str):
    """What `tojson` has written: where JSON is expected, it is that already."""

    __slots__ = ()


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja2 over plain data, whose operators tell what is too much before it is there."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    @override
    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        # A method that is no more than read may be called by another name.
        if callable(value) and attr not in METHODS:
            return False
        return super().is_safe_attribute(obj, attr, value)

    @override
    def wrap_str_format(self, value: Any) -> None:
        """Return nothing that would be called in place of a text's `format`: it is no method."""

    @override
    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if isinstance(left, Undefined) or isinstance(right, Undefined):
            # It tells what is missing.
            return super().call_binop(context, operator, left, right)
        if operator == "+":
            if isinstance(left, str) and isinstance(right, str):
                if len(left) + len(right) > MAX_OUTPUT:
                    raise output_exhausted()
            elif not _are_numbers(left, right) and not _are_lists(left, right):
                raise TypeError(operator)
        elif not _are_numbers(left, right):
            raise SecurityError(operator)
        elif operator == "*":
            if _bits(left) + _bits(right) > _MAX_BITS:
                raise RefusedError("budget", "expected smaller numbers")
        elif operator == "**" and (_bits(left) + 1) * max(_int(right), 1) > _MAX_BITS:
            raise RefusedError("budget", "expected smaller numbers")
        return super().call_binop(context, operator, left, right)


@lru_cache(maxsize=1)
def environment() -> _Environment:
    """Return the environment. It loads nothing, and knows no other globals than `FUNCTIONS`."""
    made = _Environment(
        undefined=_Missing,
        autoescape=False,
        keep_trailing_newline=True,
        finalize=_finalize,
        loader=None,
        cache_size=0,
    )
    made.filters = {name: ALL_FILTERS[name] for name in sorted(FILTERS)} | {
        "tojson": _to_json,
        "indent": _indent,
        "replace": _replace,
        "join": _join,
    }
    made.tests = {name: ALL_TESTS[name] for name in sorted(TESTS)}
    made.globals = {
        name: DEFAULT_NAMESPACE[name] for name in sorted(FUNCTIONS & DEFAULT_NAMESPACE.keys())
    } | {"range": _range}
    return made


@lru_cache(maxsize=1)
def json_environment() -> Environment:
    """Return the same, but for what is printed, which is written as JSON, texts included."""
    return environment().overlay(finalize=_finalize_json)


def _finalize(value: Any) -> str:
    """Write a value as every language here writes it."""
    if isinstance(value, str):
        return value
    if isinstance(value, Undefined):
        # It raises its own error.
        return str(value)
    if value is None:
        raise UnfitError({"": "null where text is expected"})
    return _written(value)


def _finalize_json(value: Any) -> str:
    if isinstance(value, Undefined | _JsonText):
        return str(value)
    return _written(value)


def _written(value: Json) -> str:
    try:
        return write_json(value)
    except ValueUnwritableError as problem:
        raise UnfitError({"": str(problem)}) from None
    except TypeError:
        # No value is of such a kind: the template has made it.
        raise RefusedError("invalid", "expected texts, numbers, lists and mappings") from None


def _to_json(value: Any, indent: int | None = None) -> str:
    if isinstance(value, Undefined):
        return str(value)
    if indent is None:
        return _JsonText(_written(value))
    import json  # noqa: PLC0415  # seldom asked for

    return _JsonText(
        json.dumps(
            value,
            ensure_ascii=False,
            allow_nan=False,
            sort_keys=True,
            indent=max(0, min(indent, MAX_INDENT)),
        )
    )


def _indent(
    text: str, width: int = 4, first: bool = False, blank: bool = False
) -> str:  # as Jinja2 has it
    if not 0 <= width <= MAX_INDENT:
        raise SecurityError("indent")
    lines = str(text).splitlines(keepends=True)
    if len(lines) * width > MAX_OUTPUT:
        raise output_exhausted()
    pad = " " * width
    return "".join(
        pad + line if (first or number) and (blank or line.strip()) else line
        for number, line in enumerate(lines)
    )


def _replace(text: str, old: str, new: str, count: int = -1) -> str:
    text, old, new = str(text), str(old), str(new)
    times = text.count(old)
    if 0 <= count < times:
        times = count
    if len(text) + times * len(new) > 2 * MAX_OUTPUT:
        raise output_exhausted()
    return text.replace(old, new, -1 if count is None else count)


def _join(values: Iterable[Any], d: str = "", attribute: str | None = None) -> str:
    if isinstance(values, Undefined):
        return str(values)
    if attribute is not None:
        values = [environment().getitem(value, attribute) for value in values]
    texts = [_finalize(value) for value in values]
    if sum(map(len, texts)) + len(texts) * len(d) > 2 * MAX_OUTPUT:
        raise output_exhausted()
    return str(d).join(texts)


def _range(*bounds: int) -> range:
    made = range(*bounds)
    if len(made) > MAX_RANGE:
        raise SecurityError("range")
    return made


def _are_numbers(*values: Any) -> bool:
    return all(isinstance(value, int | float) for value in values)


def _are_lists(*values: Any) -> bool:
    return all(isinstance(value, list | tuple) for value in values)


def _bits(number: float) -> int:
    return number.bit_length() if isinstance(number, int) else 64


def _int(number: float) -> int:
    return int(number) if abs(number) < _MAX_BITS else _MAX_BITS
