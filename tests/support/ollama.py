"""What a server answers in Ollama's chat dialect."""

import json
from collections.abc import Sequence

from tests.support.upstream import Exchange

Fields = dict[str, object]

MODEL = "served-model"
CALL: Fields = {
    "id": "call_a1b2",
    "function": {"index": 0, "name": "find", "arguments": {"a": [1, 2]}},
}
BARE_CALL: Fields = {"function": {"name": "now", "arguments": {}}}
"""As older servers send it: without an id."""

USAGE: Fields = {"prompt_eval_count": 10, "eval_count": 7}


def ollama_answer(
    text: str = "Hello", *, stop: str | None = "stop", usage: Fields = USAGE, **message: object
) -> bytes:
    """Return a whole answer."""
    return _event({"content": text, **message}, _end(stop, usage))


def ollama_stream(
    *messages: Fields, stop: str | None = "stop", usage: Fields = USAGE
) -> list[bytes]:
    """Return the lines of a streamed answer, whose message comes in these pieces."""
    lines = [_event(message, {"done": False}) for message in messages]
    lines.append(_event({}, _end(stop, usage)))
    return [line + b"\n" for line in lines]


def ollama_texts(texts: Sequence[str]) -> list[bytes]:
    """Return the lines of a streamed answer whose text comes in these pieces."""
    pieces: list[Fields] = [{"content": text} for text in texts]
    return ollama_stream(*pieces)


def ollama_error(text: str) -> bytes:
    """Return what reports a failure, in a response of its own and inside of a stream."""
    return json.dumps({"error": text}).encode() + b"\n"


async def answer_ollama(exchange: Exchange) -> None:
    """Answer as a server would: whole or streamed, as was asked."""
    if exchange.json["stream"]:
        await exchange.begin_stream(content_type="application/x-ndjson")
        await exchange.send(b"".join(ollama_texts(("Hel", "lo"))))
        exchange.writer.close()
    else:
        await exchange.send_response(
            ollama_answer(), content_type="application/json; charset=utf-8"
        )


def _end(stop: str | None, usage: Fields) -> Fields:
    reason = {} if stop is None else {"done_reason": stop}
    return {"done": True, **reason, "total_duration": 9, "load_duration": 1, **usage}


def _event(message: Fields, end: Fields) -> bytes:
    event = {
        "model": MODEL,
        "created_at": "2026-01-02T03:04:05.678901234Z",
        "message": {"role": "assistant", "content": "", **message},
        **end,
    }
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
