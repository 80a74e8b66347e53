"""Ollama's dialect for the contract suites."""

from prompt_resolver_server.providers.dialects.ollama import OllamaDialect
from tests.support.dialects.subject import Subject, record
from tests.support.ollama import (
    BARE_CALL,
    CALL,
    ollama_answer,
    ollama_error,
    ollama_stream,
    ollama_texts,
)
from tests.support.upstream import Exchange


def _said(exchange: Exchange) -> str:
    messages = exchange.json["messages"]
    assert isinstance(messages, list)
    return str(messages[-1]["content"])


_EVERYTHING = ollama_stream(
    {"thinking": "Hm, "},
    {"thinking": "wéll."},
    {"content": "Hellö"},
    {"content": " 世界"},
    {"tool_calls": [CALL, BARE_CALL]},
    {"tool_calls": [CALL]},
)

OLLAMA = Subject(
    name="ollama",
    shares=("logprobs", "top_logprobs"),
    dialect=OllamaDialect(),
    said=_said,
    whole=ollama_answer,
    streamed=ollama_texts,
    in_band_error=ollama_error("server busy, please try again.  maximum pending requests exceeded"),
    recordings=(
        record("text", ollama_texts(("Hel", "lo"))),
        record("everything", _EVERYTHING),
        record("crlf", [line.replace(b"\n", b"\r\n") for line in _EVERYTHING]),
    ),
    usage=(10, 7),
)
