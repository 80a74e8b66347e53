"""What a provider answers in Cohere's chat dialect."""

import json
from collections.abc import Sequence

from tests.support.upstream import Exchange

Fields = dict[str, object]

TEXT: Fields = {"type": "text", "text": "Hello"}
THINKING: Fields = {"type": "thinking", "thinking": "Hm, well."}
CALL: Fields = {
    "id": "find_p1t92w7gfgq7",
    "type": "function",
    "function": {"name": "find", "arguments": '{"a": [1, 2]}'},
}
OTHER_CALL: Fields = {
    "id": "now_ay6nmvjgp9vn",
    "type": "function",
    "function": {"name": "now", "arguments": "{}"},
}

USAGE: Fields = {
    "billed_units": {"input_tokens": 5.0, "output_tokens": 2.0},
    "tokens": {"input_tokens": 10.0, "output_tokens": 7.0},
    "cached_tokens": 3.0,
}


def cohere_answer(
    *blocks: Fields,
    calls: Sequence[Fields] = (),
    plan: str = "",
    stop: str = "COMPLETE",
    usage: Fields = USAGE,
) -> bytes:
    """Return a whole answer, with a text unless told otherwise."""
    message: Fields = {"role": "assistant"}
    if blocks or not calls:
        message["content"] = list(blocks or (TEXT,))
    if plan:
        message["tool_plan"] = plan
    if calls:
        message["tool_calls"] = list(calls)
    answer = {"id": "answer-1", "message": message, "finish_reason": stop, "usage": usage}
    return json.dumps(answer).encode()


def cohere_stream(
    *blocks: Fields,
    calls: Sequence[Fields] = (),
    plan: str = "",
    stop: str = "COMPLETE",
    usage: Fields = USAGE,
) -> list[bytes]:
    """Return the events of the same answer streamed, the last of which is `message-end`."""
    empty = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": []}
    events = [frame("message-start", id="answer-1", delta={"message": empty})]
    events += [frame_delta("tool-plan-delta", None, tool_plan=piece) for piece in _pieces(plan)]
    shown = blocks or ((TEXT,) if not calls else ())
    for index, block in enumerate(shown):
        events += _block_events(index, block)
    for index, call in enumerate(calls):
        events += _call_events(index, call)
    return [*events, frame_end(stop, usage=usage)]


def cohere_texts(texts: Sequence[str]) -> list[bytes]:
    """Return the events of a streamed answer whose text comes in these pieces."""
    events = cohere_stream({"type": "text", "text": ""})
    deltas = [frame_delta("content-delta", 0, content={"text": text}) for text in texts]
    return [*events[:2], *deltas, *events[2:]]


def frame(kind: str, **fields: object) -> bytes:
    """Return one event."""
    data = json.dumps({"type": kind, **fields}, ensure_ascii=False)
    return f"event: {kind}\ndata: {data}\n\n".encode()


def frame_delta(kind: str, index: int | None, **message: object) -> bytes:
    """Return an event that adds to the message."""
    place = {} if index is None else {"index": index}
    return frame(kind, **place, delta={"message": message})


def frame_end(stop: str, **delta: object) -> bytes:
    """Return the event that ends the answer."""
    return frame("message-end", delta={"finish_reason": stop, **delta})


def cohere_error(message: str) -> bytes:
    """Return the body of a response that reports a failure."""
    return json.dumps({"id": "error-1", "message": message}).encode()


async def answer_cohere(exchange: Exchange) -> None:
    """Answer as Cohere would: whole or streamed, as was asked."""
    if exchange.json["stream"]:
        await exchange.begin_stream()
        await exchange.send(b"".join(cohere_texts(("Hel", "lo"))))
        exchange.writer.close()
    else:
        await exchange.send_response(cohere_answer())


def _block_events(index: int, block: Fields) -> list[bytes]:
    kind = str(block["type"])
    return [
        frame_delta("content-start", index, content={"type": kind, kind: ""}),
        *(
            frame_delta("content-delta", index, content={kind: piece})
            for piece in _pieces(str(block[kind]))
        ),
        frame("content-end", index=index),
    ]


def _call_events(index: int, call: Fields) -> list[bytes]:
    function = call["function"]
    assert isinstance(function, dict)
    start = {**call, "function": {**function, "arguments": ""}}
    return [
        frame_delta("tool-call-start", index, tool_calls=start),
        *(
            frame_delta("tool-call-delta", index, tool_calls={"function": {"arguments": piece}})
            for piece in _pieces(function["arguments"])
        ),
        frame("tool-call-end", index=index),
    ]


def _pieces(text: str) -> list[str]:
    return [text[start : start + 3] for start in range(0, len(text), 3)]
