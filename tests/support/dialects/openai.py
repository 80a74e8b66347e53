"""OpenAI's dialect for the contract suites."""

from dataclasses import replace

from prompt_resolver_server.providers.dialect import Quirks
from prompt_resolver_server.providers.dialects.openai import OpenAIDialect
from prompt_resolver_server.providers.wire.openais_own import OPENAIS_OWN
from tests.support.dialects.subject import Subject, as_json, record
from tests.support.upstream import Exchange, openai_answer, openai_events


def _said(exchange: Exchange) -> str:
    messages = exchange.json["messages"]
    assert isinstance(messages, list)
    return str(messages[-1]["content"])


def _chunk(delta: dict[str, object], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "m"}
    return b"data: " + as_json({**chunk, "choices": [choice]}) + b"\n\n"


def _call(index: int, *, arguments: str, **function: str) -> dict[str, object]:
    piece: dict[str, object] = {"index": index, "function": {"arguments": arguments, **function}}
    if function:
        piece |= {"id": f"call_{index}", "type": "function"}
    return {"tool_calls": [piece]}


_EVERYTHING = [
    _chunk({"role": "assistant", "content": ""}),
    _chunk({"reasoning_content": "Hm, wéll."}),
    _chunk({"content": "Hellö"}),
    _chunk({"content": " 世界"}),
    _chunk(_call(0, arguments="", name="find")),
    _chunk(_call(0, arguments='{"a":')),
    _chunk(_call(0, arguments="[1,2]}")),
    _chunk(_call(1, arguments="{}", name="now")),
    _chunk({}, "tool_calls"),
    b'data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}}\n\n',
    b"data: [DONE]\n\n",
]

OPENAI = Subject(
    name="openai",
    shares=OPENAIS_OWN,
    dialect=OpenAIDialect(),
    said=_said,
    whole=openai_answer,
    streamed=lambda pieces: openai_events(*pieces),
    in_band_error=b'data: {"error":{"type":"overloaded_error","message":"m"}}\n\n',
    recordings=(
        record("text", openai_events("Hel", "lo")),
        record("everything", _EVERYTHING),
        record("crlf", [part.replace(b"\n", b"\r\n") for part in _EVERYTHING]),
    ),
)

_USAGE = openai_events()[-2]

WITHOUT_DONE = replace(
    OPENAI,
    name="openai without [DONE]",
    quirks=Quirks(lacks=frozenset({"[DONE]"})),
    streamed=lambda pieces: openai_events(*pieces)[:-1],
    recordings=(
        record("text", openai_events("Hel", "lo", usage=False)[:-1], rest=[_USAGE]),
        record("everything", _EVERYTHING[:-2], rest=_EVERYTHING[-2:-1]),
    ),
)
"""Where what ends an answer is a finish reason and the end of the stream."""
