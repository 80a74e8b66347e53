"""What may be wrong with the messages of a prompt: roles, calls of tools, and what answers them."""

import json
import re
from difflib import get_close_matches

from ...domain.prompts import Message, Template, ToolCall
from ...rendering.variables import has_variables
from ...templates.formats.humanloop_blocks import starts_with_block
from .findings import Findings
from .source import Source

_TAG = re.compile(r"^[ \t]*<([A-Za-z]{4,12})>[ \t]*$", re.MULTILINE)
_OPENING = re.compile(r"<\w+")
_ROLES = ("system", "developer", "user", "assistant", "tool")
_OTHER_ROLES = {"human": "user"}
_ALIKE = 0.85


def check_messages(template: Template, source: Source, findings: Findings) -> None:
    """Check a template's messages."""
    if not template.messages and not template.placeholders:
        findings.add("message-missing", "no message: the caller has to send all of them")
    _check_roles(template, source, findings)
    _check_calls(template, source, findings)
    _check_attributes(template, source, findings)


def _check_roles(template: Template, source: Source, findings: Findings) -> None:
    """Find what was meant to begin a message, in a file that is one text as nothing does."""
    if [each.role for each in template.messages] != ["user"]:
        return
    text = template.messages[0].text
    if template.as_text and starts_with_block(text):
        opening = _OPENING.match(text.lstrip())
        assert opening is not None
        findings.add(
            "role-literal",
            f"{opening[0]}> is text and comes out as it stands, as all of the file is one text;"
            " with `endpoint: chat` it begins a message",
            source.find(opening[0]),
        )
    elif not starts_with_block(source.body):
        _check_words(text, source, findings)


def _check_words(text: str, source: Source, findings: Findings) -> None:
    for word in dict.fromkeys(_TAG.findall(text)):
        meant = _role_like(word.lower())
        if meant is not None:
            findings.add(
                "role-literal",
                f"<{word}> is text and comes out as it stands; a message begins with <{meant}>,"
                " and nothing stands before the first one",
                source.find(f"<{word}>"),
            )


def _role_like(word: str) -> str | None:
    """Return the role that a word was meant to be. More than one of something is none."""
    if word in _OTHER_ROLES or (word.removesuffix("s") in _ROLES and word not in _ROLES):
        return _OTHER_ROLES.get(word)
    alike = get_close_matches(word, _ROLES, 1, _ALIKE)
    return next((role for role in alike if role[0] == word[0]), None)


def _check_calls(template: Template, source: Source, findings: Findings) -> None:
    called: set[str] = set()
    # A message of the caller's may stand there, and be what is answered.
    first = min((each.position for each in template.placeholders), default=None)
    for index, message in enumerate(template.messages):
        for call in message.tool_calls:
            _check_arguments(template, call, source, findings)
            called.add(call.id)
        if _answers_none(message, called) and (first is None or index < first):
            findings.add(
                "tool-call-missing",
                f"expected the id of a call that stands before it, got {message.tool_call_id!r}",
                source.find_attribute(message.tool_call_id or ""),
            )


def _answers_none(message: Message, called: set[str]) -> bool:
    return message.role == "tool" and message.tool_call_id not in called


def _check_arguments(
    template: Template, call: ToolCall, source: Source, findings: Findings
) -> None:
    """Check arguments in which there is nothing to fill in: others are tried with samples."""
    if has_variables(call.arguments_json, template.language) or _is_object(call.arguments_json):
        return
    findings.add(
        "arguments-invalid",
        f"expected the arguments of the call of {call.name!r} to be a JSON object",
        source.find_attribute(call.id),
    )


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _check_attributes(template: Template, source: Source, findings: Findings) -> None:
    values: list[str | None] = []
    for message in template.messages:
        for call in message.tool_calls:
            values += (call.id, call.name)
        values += (message.tool_call_id, message.name)
    for value in dict.fromkeys(values):
        if value is not None and ("{{" in value or "{%" in value):
            findings.add(
                "variable-literal",
                f"{value} is text and comes out as it stands: no variable stands for an id or a"
                " name",
                source.find_attribute(value),
            )
