"""Which of the formats that are called `.prompt` a file has, told by its signs.

The formats are unrelated, and none of them says what it is. Read as another, a file makes a prompt
that nobody meant, and no error: so a file shows signs of exactly one format that can be served, or
its store has to be told. LiteLLM's own dialect is known, and cannot be served.
"""

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple, TypeAlias

from .humanloop_blocks import starts_with_block
from .prompt_file import PromptFileError, Source

PromptFormat: TypeAlias = Literal["humanloop", "dotprompt"]
"""A format that can be served: Humanloop's, or Google's dotprompt."""

_Signed: TypeAlias = Literal["humanloop", "dotprompt", "litellm"]
_NAMES: dict[_Signed, str] = {
    "humanloop": "Humanloop's format",
    "dotprompt": "Google's dotprompt",
    "litellm": "LiteLLM's dialect",
}

_ADVICE = "set `format: humanloop` or `format: dotprompt` of its store"
_HUMANLOOP_FIELDS = (
    *("provider", "endpoint", "presence_penalty", "frequency_penalty", "reasoning_effort"),
    *("template_language", "max_iterations"),
)
_DOTPROMPT_FIELDS = ("config", "input", "output", "variant", "toolDefs", "ext")
_SHARED_FIELDS = ("input", "output")
_LITELLM_FIELDS = ("temperature", "max_tokens", "top_p")

_HANDLEBARS = re.compile(
    r"\{\{~?(?:(?P<block>[#>])|\s*(?P<helper>role|section)\s+[\"']|\s*(?P<media>media)\s+url=)"
)
# These are names of Humanloop's variables, too.
_BARE_HELPER = re.compile(r"\{\{~?\s*(history|role|media|section)\s*~?\}\}")
_ROLE_LINE = re.compile(r"\s*(System|User|Assistant):")
_STATEMENT = re.compile(r"\{%")


class Sign(NamedTuple):
    """Something in a file that a format has: where, in the words of its author."""

    format: _Signed
    place: str


def find_signs(source: Source) -> tuple[Sign, ...]:
    """Return all signs of formats that a file shows."""
    signs = [*_signs_of_header(source), *_signs_of_body(source)]
    # A variable of Humanloop's may have any name.
    bare = _BARE_HELPER.search(source.body)
    if bare is not None and not any(sign.format == "humanloop" for sign in signs):
        signs.append(Sign("dotprompt", f"{{{{{bare[1]}}}}} in the body"))
    return tuple(signs)


class FormatRule(NamedTuple):
    """How the format of files is told: `always` the same, or by their signs.

    `otherwise` is the format of those that show no sign of any; None for none.
    """

    always: PromptFormat | None = None
    otherwise: PromptFormat | None = None

    def tell(self, source: Source) -> PromptFormat:
        """Return the format of a file.

        Raises `PromptFileError` where there is none to return, or more than one.
        """
        if self.always is not None:
            return self.always
        signs = find_signs(source)
        match tuple(dict.fromkeys(sign.format for sign in signs)):
            case ():
                if self.otherwise is not None:
                    return self.otherwise
                problem = f"nothing in it tells its format: {_ADVICE}"
            case ("humanloop" | "dotprompt" as only,):
                return only
            case ("litellm",):
                problem = (
                    f"expected a prompt of Humanloop's or a dotprompt, got {_tell(signs)}: write"
                    f" each role as a block such as <system>, or {_ADVICE}"
                )
            case _:
                problem = f"expected signs of one format, got {_tell(signs)}: {_ADVICE}"
        raise PromptFileError(1, problem)


BY_SIGNS = FormatRule()
"""The rule by which nothing but its signs tells a file's format."""


def _tell(signs: tuple[Sign, ...]) -> str:
    """Name the formats, each with its signs."""
    places: dict[_Signed, list[str]] = {}
    for sign in signs:
        places.setdefault(sign.format, []).append(sign.place)
    return " and ".join(f"{_NAMES[name]} ({', '.join(each)})" for name, each in places.items())


def _signs_of_header(source: Source) -> Iterator[Sign]:
    fields = source.fields
    for name in _HUMANLOOP_FIELDS:
        if name in fields:
            yield Sign("humanloop", f"`{name}` in the header")
    for name in _DOTPROMPT_FIELDS:
        if name in fields:
            yield Sign("dotprompt", f"`{name}` in the header")
    if any("." in name for name in fields):
        yield Sign("dotprompt", "a name with a dot in the header")
    tools = fields.get("tools")
    if isinstance(tools, list) and tools:
        if all(isinstance(tool, dict) for tool in tools):
            yield Sign("humanloop", "definitions in `tools`")
        if all(isinstance(tool, str) for tool in tools):
            yield Sign("dotprompt", "names in `tools`")
    shared = next((name for name in _SHARED_FIELDS if name in fields), None)
    own = next((name for name in _LITELLM_FIELDS if name in fields), None)
    if shared and own:
        yield Sign("litellm", f"`{shared}` beside `{own}` in the header")


def _signs_of_body(source: Source) -> Iterator[Sign]:
    body = source.body
    if starts_with_block(body):
        yield Sign("humanloop", f"a block in line {_first_line(source)}")
    if match := _HANDLEBARS.search(body):
        helper = match["block"] or match["helper"] or match["media"]
        yield Sign("dotprompt", f"{{{{{helper} …}}}} in line {source.line_at(match.start())}")
    if match := _ROLE_LINE.match(body):
        yield Sign("litellm", f"`{match[1]}:` in line {_first_line(source)}")
    if source.fields.get("template_language") != "jinja" and (match := _STATEMENT.search(body)):
        yield Sign("litellm", f"{{% … %}} in line {source.line_at(match.start())}")


def _first_line(source: Source) -> int:
    """Return the first line of the body that is not blank."""
    return source.line_at(len(source.body) - len(source.body.lstrip()))
