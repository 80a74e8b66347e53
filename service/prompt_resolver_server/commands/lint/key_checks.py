"""What may be wrong with the keys of a header: nobody reads one that is mistyped, nor tells.

A key of the header is one of those that its format documents. What is passed on to the provider may
have any name, so there a key is told only where it is one slip away from a parameter's.
"""

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches

from ...domain.parameters import TYPED_PARAMETERS, Json
from ...templates.formats import dotprompt, humanloop_file
from ...templates.formats.format_rule import FormatRule, PromptFormat
from ...templates.formats.prompt_file import PromptFileError, Source, read_source
from .findings import Findings, Place

_ALIKE = 0.7
# Shorter names of parameters are one slip away from each other, too.
_SHORTEST = 6

_Path = tuple[str | int, ...]

_KEYS: Mapping[PromptFormat, frozenset[str]] = {
    "humanloop": humanloop_file.KEYS,
    "dotprompt": dotprompt.KEYS,
}
_NESTED: Mapping[PromptFormat, Mapping[str, frozenset[str]]] = {
    "humanloop": humanloop_file.NESTED_KEYS,
    "dotprompt": dotprompt.NESTED_KEYS,
}
_PASSED_ON: Mapping[PromptFormat, tuple[str, frozenset[str]]] = {
    "humanloop": ("other", TYPED_PARAMETERS),
    "dotprompt": ("config", dotprompt.PARAMETERS | TYPED_PARAMETERS),
}


def check_keys(content: bytes, rule: FormatRule, findings: Findings) -> None:
    """Check the keys of a prompt file that can be read."""
    try:
        source = read_source(content)
        form = rule.tell(source)
    except PromptFileError:
        # The store has said so.
        return
    if source.front_matter is None:
        return
    for path, hint in _find_unknown(source.fields, form):
        findings.add(
            "key-unknown",
            f"nothing reads the key {_write(path)!r}{hint}",
            Place(source.header_line + source.front_matter.line(path)),
        )
    for path, meant in _find_slips(source, form):
        findings.add(
            "key-unknown",
            f"the key {_write(path)!r} goes to the provider as it stands; did you mean {meant!r}?",
            Place(source.header_line + source.front_matter.line(path)),
        )


def _find_unknown(fields: Mapping[str, Json], form: PromptFormat) -> Iterator[tuple[_Path, str]]:
    known = _KEYS[form]
    passed_on, parameters = _PASSED_ON[form]
    for name, value in fields.items():
        # In dotprompt, a name with a dot is an extension's.
        if name not in known and not (form == "dotprompt" and "." in name):
            if name in parameters:
                # Humanloop's format has no place for those that it lacks.
                hint = f"; did you mean '{passed_on}.{name}'?" if form == "dotprompt" else ""
                yield (name,), hint
            else:
                yield (name,), _hint(name, known)
        for path, inner in _mappings(value, (name,)):
            nested = _NESTED[form].get(name)
            if nested is not None:
                yield from (
                    ((*path, key), _hint(key, nested)) for key in inner if key not in nested
                )


def _mappings(value: Json, path: _Path) -> Iterator[tuple[_Path, Mapping[str, Json]]]:
    """Return a mapping, or those in a list."""
    match value:
        case dict():
            yield path, value
        case list():
            for index, item in enumerate(value):
                if isinstance(item, dict):
                    yield (*path, index), item


def _hint(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, known, 1, _ALIKE)
    return f"; did you mean {close[0]!r}?" if close else ""


def _find_slips(source: Source, form: PromptFormat) -> Iterator[tuple[_Path, str]]:
    name, parameters = _PASSED_ON[form]
    values = source.fields.get(name)
    for key in values if isinstance(values, dict) else ():
        if key not in parameters:
            meant = (each for each in sorted(parameters) if len(each) >= _SHORTEST)
            close = next((each for each in meant if _is_one_slip(key, each)), None)
            if close is not None:
                yield (name, key), close


def _is_one_slip(written: str, meant: str) -> bool:
    """Tell whether one character is missing, too much, another, or in the next one's place."""
    start = next(
        (index for index, (a, b) in enumerate(zip(written, meant, strict=False)) if a != b),
        min(len(written), len(meant)),
    )
    one, other = written[start:], meant[start:]
    swapped = one[:2] == other[1::-1] and one[2:] == other[2:]
    return swapped or one[1:] == other[1:] or one[1:] == other or one == other[1:]


def _write(path: _Path) -> str:
    return ".".join(map(str, path))
