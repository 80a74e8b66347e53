"""Snippets: the texts of a tool, by their keys, that templates refer to as `{{ tool-name(key) }}`.

In which field of a tool its texts stand is written nowhere, so they are looked for in the three
that may hold anything: `setup_values`, then `source_code` where it is JSON, then `attributes`. The
first that has any counts. Each of them may be a mapping of texts, a list of mappings that have a
`key` and a `value`, or a mapping that has one of these as its value, under whatever name.
"""

import re
from collections.abc import Mapping

from ...domain.json_codec import JsonError, decode_json
from ...domain.parameters import Json
from ...domain.prompts import Media, Template, Text
from ..formats.answers import AnswerError

_REFERENCE = re.compile(r"\{\{\s*([A-Za-z0-9_-]+)\(")


def find_references(template: Template) -> frozenset[str]:
    """Return the names of the tools that a template may refer to, of whatever kind they are."""
    texts = []
    for message in template.messages:
        texts += [call.arguments_json for call in message.tool_calls]
        for part in message.content:
            match part:
                case Text(text):
                    texts.append(text)
                case Media(url=str(url)):
                    texts.append(url)
    return frozenset(name for text in texts for name in _REFERENCE.findall(text))


def read_snippets(document: Mapping[str, Json]) -> Mapping[str, str]:
    """Return the texts of a snippet tool, by key. Raises `AnswerError` where none are found."""
    for value in (
        document.get("setup_values"),
        _parsed(document.get("source_code")),
        document.get("attributes"),
    ):
        if snippets := _pairs(value) or _inner_pairs(value):
            return snippets
    raise AnswerError((), "expected texts by key in setup_values, source_code or attributes")


def _parsed(value: Json) -> Json:
    if not isinstance(value, str):
        return value
    try:
        return decode_json(value.encode("utf-8", "replace"))
    except JsonError:
        return None


def _pairs(value: Json) -> Mapping[str, str]:
    match value:
        case dict():
            return {key: text for key, text in value.items() if isinstance(text, str)}
        case list():
            return {
                key: text
                for item in value
                if isinstance(item, dict)
                and isinstance(key := item.get("key"), str)
                and isinstance(text := item.get("value"), str)
            }
        case _:
            return {}


def _inner_pairs(value: Json) -> Mapping[str, str]:
    inner = value.values() if isinstance(value, dict) else ()
    return next((pairs for each in inner if (pairs := _pairs(each))), {})
