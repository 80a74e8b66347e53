"""Bedrock's Converse dialect for the contract suites."""

from collections.abc import Sequence

from prompt_resolver_server.providers.dialects.bedrock import BedrockDialect
from tests.support.bedrock import (
    BARE_CALL,
    CALL,
    REDACTED,
    TEXT,
    THINKING,
    bedrock_answer,
    bedrock_stream,
    bedrock_texts,
    exception,
    is_stream,
)
from tests.support.dialects.subject import Recording, Subject
from tests.support.upstream import Exchange


def _said(exchange: Exchange) -> str:
    messages = exchange.json["messages"]
    assert isinstance(messages, list)
    return str(messages[-1]["content"][0]["text"])


def _record(name: str, messages: Sequence[bytes]) -> Recording:
    """Return a recording whose last message is its usage, which follows the end of the answer."""
    return Recording(name=name, portions=messages, ends_at=len(b"".join(messages[:-1])))


BEDROCK = Subject(
    name="bedrock",
    shares=("metadata",),
    dialect=BedrockDialect(),
    said=_said,
    whole=lambda text: bedrock_answer({"text": text}),
    streamed=lambda pieces: bedrock_texts(*pieces),
    in_band_error=exception("serviceUnavailableException"),
    recordings=(
        _record("text", bedrock_texts("Hel", "lo")),
        _record(
            "everything",
            bedrock_stream(THINKING, REDACTED, TEXT, CALL, BARE_CALL, stop="tool_use"),
        ),
    ),
    is_stream=is_stream,
    says_nothing=False,
    says_blanks=False,
    usage=(10, 7),
)
