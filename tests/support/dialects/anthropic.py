"""Anthropic's dialect for the contract suites."""

from prompt_resolver_server.providers.dialects.anthropic import AnthropicDialect
from tests.support.anthropic import (
    BARE_CALL,
    CALL,
    REDACTED,
    TEXT,
    THINKING,
    anthropic_answer,
    anthropic_stream,
    anthropic_texts,
    frame_error,
)
from tests.support.dialects.subject import Subject, record
from tests.support.upstream import Exchange


def _said(exchange: Exchange) -> str:
    messages = exchange.json["messages"]
    assert isinstance(messages, list)
    return str(messages[-1]["content"][0]["text"])


ANTHROPIC = Subject(
    name="anthropic",
    shares=("metadata", "safety_identifier", "user"),
    dialect=AnthropicDialect(),
    said=_said,
    whole=lambda text: anthropic_answer({"type": "text", "text": text}),
    streamed=lambda pieces: anthropic_texts(*pieces),
    in_band_error=frame_error("overloaded_error"),
    recordings=(
        record("text", anthropic_texts("Hé", "llo")),
        record(
            "everything",
            anthropic_stream(THINKING, REDACTED, TEXT, CALL, BARE_CALL, stop="tool_use"),
        ),
    ),
    says_nothing=False,
    says_blanks=False,
    usage=(10, 7),
)
