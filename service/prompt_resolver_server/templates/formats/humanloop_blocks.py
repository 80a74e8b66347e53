"""The tagged blocks of a Humanloop chat prompt, read into messages."""

import re
import textwrap

from ...domain.prompts import Media, Message, Part, Role, Text, ToolCall

_ATTRIBUTES = r"""((?:\s+[\w-]+\s*=\s*(?:"[^"]*"|'[^']*'))*)\s*"""
_OPENING = re.compile(rf"^<(system|developer|user|assistant|tool){_ATTRIBUTES}>", re.MULTILINE)
_LOOSE_OPENING = re.compile(r"^<(system|developer|user|assistant|tool)(?=[\s>])", re.MULTILINE)
_NESTED = re.compile(rf"^[ \t]*<(text|image|tool){_ATTRIBUTES}(/?)>", re.MULTILINE)
_ATTRIBUTE = re.compile(r"""([\w-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}


class BlockError(Exception):
    """Blocks that do not fit together: what is wrong, and at which character of the body."""

    def __init__(self, position: int, problem: str) -> None:
        super().__init__(problem)
        self.position = position
        self.problem = problem


def starts_with_block(body: str) -> bool:
    """Tell whether the first line of a body that is not blank opens a block."""
    return _LOOSE_OPENING.match(body.lstrip("\n \t")) is not None


def trim(text: str) -> str:
    """Drop one newline at each end."""
    return text.removeprefix("\n").removesuffix("\n")


def read_blocks(body: str) -> tuple[Message, ...]:
    """Return the messages of a chat prompt's body. Raises `BlockError`."""
    messages = []
    position = 0
    while (position := _skip_blank(body, position)) < len(body):
        opening = _OPENING.match(body, position)
        if opening is None:
            raise BlockError(
                position, "expected a block such as <user>, got text outside of blocks"
            )
        tag = opening[1]
        end, position = _find_closing(body, opening.end(), tag, opening.start())
        inner = body[opening.end() : end]
        attributes = _read_attributes(opening[2])
        if tag == "tool":
            messages.append(_tool_message(inner, attributes, opening.start()))
        else:
            messages.append(_message(_ROLES[tag], inner, opening.end()))
    return tuple(messages)


def _skip_blank(body: str, position: int) -> int:
    """Return the start of the next line that is not blank, from the start of a line on."""
    while position < len(body):
        end = body.find("\n", position)
        end = len(body) if end < 0 else end
        if body[position:end].strip():
            return position
        position = end + 1
    return len(body)


def _find_closing(body: str, start: int, tag: str, opened_at: int) -> tuple[int, int]:
    """Return where the block's content ends, and where the line after its closing tag starts."""
    closing = re.compile(rf"^[ \t]*</{tag}>|</{tag}>(?=[ \t]*$)", re.MULTILINE).search(body, start)
    # A tag at the very start of a line is structure, so another block may not open in here; inside
    # an assistant's block a tool call may.
    line_end = body.find("\n", start)
    stray = _LOOSE_OPENING.search(body, line_end + 1) if line_end >= 0 else None
    while stray and stray[1] == "tool" and tag == "assistant":
        stray = _LOOSE_OPENING.search(body, stray.end())
    if closing is None or (stray and stray.start() < closing.start()):
        raise BlockError(opened_at, f"expected </{tag}> to close this block before the next one")
    line_end = body.find("\n", closing.end())
    line_end = len(body) if line_end < 0 else line_end
    if body[closing.end() : line_end].strip():
        raise BlockError(closing.end(), f"expected nothing after </{tag}> on its line")
    return closing.start(), line_end + 1


def _read_attributes(text: str) -> dict[str, str]:
    return {match[1]: match[2] or match[3] or "" for match in _ATTRIBUTE.finditer(text)}


def _tool_message(inner: str, attributes: dict[str, str], position: int) -> Message:
    if not attributes.get("id"):
        raise BlockError(position, "expected the id of the tool call that this block answers")
    return Message(
        role="tool",
        content=(Text(_dedent(inner)),),
        name=attributes.get("name") or None,
        tool_call_id=attributes["id"],
    )


def _message(role: Role, inner: str, offset: int) -> Message:
    """Read a block's inside; `offset` is where it starts in the body."""
    parts: list[Part] = []
    calls: list[ToolCall] = []
    position = 0
    while nested := _find_nested(inner, position, role):
        _add_loose_text(parts, inner[position : nested.start()])
        tag, attributes = nested[1], _read_attributes(nested[2])
        if tag == "image":
            parts.append(_image(attributes, offset + nested.start()))
            position = _after_image(inner, nested)
            continue
        closing = re.compile(rf"</{tag}>(?=[ \t]*$)", re.MULTILINE).search(inner, nested.end())
        if closing is None:
            raise BlockError(offset + nested.start(), f"expected </{tag}> at the end of a line")
        content = inner[nested.end() : closing.start()]
        if tag == "text":
            parts.append(Text(_dedent(content)))
        else:
            calls.append(_tool_call(attributes, content, offset + nested.start()))
        position = closing.end()
    if position == 0:
        return Message(role=role, content=(Text(_dedent(inner)),))
    _add_loose_text(parts, inner[position:])
    return Message(role=role, content=tuple(parts), tool_calls=tuple(calls))


def _find_nested(inner: str, position: int, role: Role) -> re.Match[str] | None:
    """Find the next nested element; outside of an assistant's block, `<tool>` is text."""
    nested = _NESTED.search(inner, position)
    while nested and nested[1] == "tool" and role != "assistant":
        nested = _NESTED.search(inner, nested.end())
    return nested


def _after_image(inner: str, image: re.Match[str]) -> int:
    closed = "" if image[3] else "</image>"
    return image.end() + len(closed) if inner.startswith(closed, image.end()) else image.end()


def _add_loose_text(parts: list[Part], text: str) -> None:
    if text.strip():
        parts.append(Text(_dedent(text)))


def _image(attributes: dict[str, str], position: int) -> Media:
    if not attributes.get("url"):
        raise BlockError(position, "expected the image's url")
    return Media(kind="image", url=attributes["url"], detail=attributes.get("detail") or None)


def _tool_call(attributes: dict[str, str], content: str, position: int) -> ToolCall:
    if not attributes.get("name") or not attributes.get("id"):
        raise BlockError(position, "expected the tool call's name and id")
    return ToolCall(
        id=attributes["id"], name=attributes["name"], arguments_json=content.strip() or "{}"
    )


def _dedent(text: str) -> str:
    return trim(textwrap.dedent(text))
