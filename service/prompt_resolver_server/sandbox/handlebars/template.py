"""Compiles and renders one dotprompt template to turns.

Where a message begins is marked in the rendered text by a word that is drawn for each rendering
alone, so no value can hold it.
"""

import json
import re
import secrets
from collections.abc import Mapping
from typing import Any, Literal, cast

from dotpromptz_handlebars import (
    EscapeFunction,
    Handlebars,
    HelperOptions,
    StrictModeError,
)

from ...domain.parameters import JsonObject
from ..faults import RefusedError, UnfitError, output_exhausted
from ..protocol import MAX_OUTPUT, Done, Media, Text, Turn
from .program import ROLES, find_names

_MAX_DEPTH = 60

Role = Literal["system", "user", "assistant"]


class HandlebarsTemplate:
    """One dotprompt template, compiled. Raises `RefusedError`."""

    def __init__(self, text: str, partials: Mapping[str, str]) -> None:
        self._names = find_names(text, partials)
        self._markers = _Markers()
        engine = Handlebars(strict=True, escape_fn=EscapeFunction.NO_ESCAPE, max_depth=_MAX_DEPTH)
        engine.unregister_helper("log")
        for name, helper in self._markers.helpers().items():
            engine.register_helper(name, helper)
        for name, partial in partials.items():
            engine.register_partial(name, partial)
        self._render = engine.compile(text)

    def find_missing(self, variables: JsonObject) -> dict[str, str]:
        """Return what is wrong with the variables that are required: missing, or null."""
        return {
            name: "null" if name in variables else "missing"
            for name in self._names.required
            if variables.get(name) is None
        }

    def render(self, variables: JsonObject) -> Done:
        """Return the turns. Raises `RefusedError` and `UnfitError`."""
        # What is null counts as absent.
        given = {name: value for name, value in variables.items() if value is not None}
        self._markers.draw()
        try:
            text = self._render(given)
        except StrictModeError as error:
            path = error.path.removeprefix("@root.")
            raise UnfitError({path.rpartition("../")[2]: "missing"}) from None
        except RecursionError:
            raise RefusedError("budget", "expected it to end") from None
        except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError):
            raise RefusedError("invalid", "expected a template that fits these variables") from None
        if len(text.encode()) > MAX_OUTPUT:
            raise output_exhausted()
        return self._markers.split(text)


class _Markers:
    """What helpers leave in the text, and what is made of it."""

    def __init__(self) -> None:
        self._word = ""
        self._media: list[Media] = []

    def draw(self) -> None:
        """Begin a rendering."""
        self._word = secrets.token_hex(16)
        self._media = []

    def helpers(self) -> dict[str, Any]:
        """Return dotprompt's helpers."""
        return {
            "role": self._write_role,
            "history": self._write_history,
            "section": _write_section,
            "media": self._write_media,
            "json": _write_json,
            "ifEquals": _write_if_equal,
            "unlessEquals": _write_unless_equal,
        }

    def split(self, text: str) -> Done:
        """Return the turns in a rendered text. One without content is none."""
        pieces = re.split(f"\x00{self._word}:([a-z]+):([a-z0-9]*)\x00", text)
        turns: list[Turn] = []
        histories: list[int] = []
        role: Role = "user"
        parts: list[Text | Media] = [Text(pieces[0])]
        for kind, argument, following in zip(pieces[1::3], pieces[2::3], pieces[3::3], strict=True):
            if kind == "media":
                parts.append(self._media[int(argument)])
            else:
                _end_turn(turns, role, parts)
                parts = []
                if kind == "history":
                    histories.append(len(turns))
                # As in dotprompt, what follows the history is the model's unless a role says else.
                role = cast("Role", argument) if kind == "role" else "assistant"
            parts.append(Text(following))
        _end_turn(turns, role, parts)
        return Done(turns=tuple(turns), histories=tuple(histories))

    def _mark(self, kind: str, argument: str = "") -> str:
        return f"\x00{self._word}:{kind}:{argument}\x00"

    def _write_role(self, args: list[Any], options: HelperOptions) -> str:
        return self._mark("role", ROLES[args[0]])

    def _write_history(self, args: list[Any], options: HelperOptions) -> str:
        return self._mark("history")

    def _write_media(self, args: list[Any], options: HelperOptions) -> str:
        url, media_type = options.hash.get("url"), options.hash.get("contentType") or ""
        if not isinstance(url, str) or not url or not isinstance(media_type, str):
            raise UnfitError({"": "a media without a URL"})
        self._media.append(Media(url, media_type))
        return self._mark("media", str(len(self._media) - 1))


def _end_turn(turns: list[Turn], role: Role, parts: list[Text | Media]) -> None:
    # Blanks between roles and media are how the template is laid out.
    kept = tuple(part for part in parts if isinstance(part, Media) or part.text.strip())
    if kept:
        turns.append(Turn(role, kept))


def _write_json(args: list[Any], options: HelperOptions) -> str:
    if len(args) != 1:
        raise RefusedError("invalid", "expected one value to write as JSON")
    indent = options.hash.get("indent") or None
    try:
        return json.dumps(
            args[0],
            ensure_ascii=False,
            allow_nan=False,
            sort_keys=True,
            indent=min(int(indent), 16) if indent else None,
            separators=None if indent else (",", ":"),
        )
    except ValueError:
        raise UnfitError({"": "expected finite numbers"}) from None


def _write_section(args: list[Any], options: HelperOptions) -> str:
    # A section is a note for programs, and the contract has no field for one.
    return ""


def _write_if_equal(args: list[Any], options: HelperOptions) -> str:
    return options.fn() if _are_equal(args) else options.inverse()


def _write_unless_equal(args: list[Any], options: HelperOptions) -> str:
    return options.inverse() if _are_equal(args) else options.fn()


def _are_equal(args: list[Any]) -> bool:
    if len(args) != 2:
        raise RefusedError("invalid", "expected two values to compare")
    left, right = args
    # As JavaScript has it, where true is no 1, but 1 is 1.0.
    return isinstance(left, bool) == isinstance(right, bool) and left == right
