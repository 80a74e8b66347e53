"""Humanloop's `.prompt` files: a YAML header of parameters, and a body of tagged blocks or of text.

    ---
    model: gpt-4o
    temperature: 0.3
    provider: openai
    endpoint: chat
    ---

    <system>
      You are the returns desk of {{shop_name}}.
    </system>

Structure is read before any variable is put in, so no value can become structure. Only a known tag
at the start of a line is structure; all other markup is text. What indents a whole block is taken
off it.
"""

from collections.abc import Mapping

from ...domain.parameters import Json
from ...domain.prompts import Message, Text
from .fields import FieldError, read_prompt_parameters, read_text, read_tools
from .humanloop_blocks import BlockError, read_blocks, starts_with_block, trim
from .prompt_file import PromptFile, PromptFileError, Source

KEYS = frozenset(
    {
        *("model", "provider", "endpoint", "temperature", "top_p", "max_tokens", "stop", "seed"),
        *("presence_penalty", "frequency_penalty", "reasoning_effort", "response_format"),
        *("other", "tools", "template_language"),
        # Humanloop's, and for display here.
        *("attributes", "linked_tools", "max_iterations", "name", "description", "readme", "tags"),
        *("id", "path", "type", "version_id", "version_name", "version_description", "schema"),
    }
)
"""The keys of a header that there are in this format, those included that are not read here."""

NESTED_KEYS: Mapping[str, frozenset[str]] = {
    "response_format": frozenset({"type", "json_schema"}),
    "tools": frozenset({"name", "description", "strict", "parameters", "on_agent_call"}),
}
"""The keys of what stands below some of them."""


def parse_humanloop(source: Source) -> PromptFile:
    """Read a file of this format. Raises `PromptFileError`."""
    if source.front_matter is None:
        raise PromptFileError(1, "expected a header that begins with '---'")
    fields = source.fields
    try:
        endpoint = _read_endpoint(fields, source.body)
        return PromptFile(
            model=read_text(fields, "model"),
            provider=read_text(fields, "provider"),
            language=_read_language(fields),
            parameters=read_prompt_parameters(fields),
            tools=read_tools(fields.get("tools"), ("tools",)),
            messages=_read_body(endpoint, source),
            as_text=endpoint == "complete",
        )
    except FieldError as error:
        raise source.fault(error) from None


def _read_language(fields: Mapping[str, Json]) -> str:
    language = read_text(fields, "template_language") or "default"
    if language not in ("default", "jinja"):
        raise FieldError(("template_language",), "expected default or jinja")
    return language


def _read_endpoint(fields: Mapping[str, Json], body: str) -> str:
    endpoint = read_text(fields, "endpoint")
    if endpoint not in (None, "chat", "complete"):
        raise FieldError(("endpoint",), "expected chat or complete")
    return endpoint or ("chat" if starts_with_block(body) else "complete")


def _read_body(endpoint: str, source: Source) -> tuple[Message, ...]:
    if endpoint == "complete":
        text = trim(source.body)
        return (Message(role="user", content=(Text(text),)),) if text.strip() else ()
    try:
        return read_blocks(source.body)
    except BlockError as error:
        raise PromptFileError(source.line_at(error.position), error.problem) from None
