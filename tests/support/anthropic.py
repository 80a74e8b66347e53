"""What a provider answers in Anthropic's Messages dialect."""

import json

from tests.support.upstream import Exchange

Fields = dict[str, object]

SIGNATURE = "c2lnbmVk=="
"""What stands for the provider's signature over what its model thought."""

TEXT: Fields = {"type": "text", "text": "Hello"}
THINKING: Fields = {"type": "thinking", "thinking": "Hm, well.", "signature": SIGNATURE}
REDACTED: Fields = {"type": "redacted_thinking", "data": "c2VhbGVk=="}
CALL: Fields = {"type": "tool_use", "id": "toolu_1", "name": "find", "input": {"a": [1, 2]}}
BARE_CALL: Fields = {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}}

USAGE: Fields = {
    "input_tokens": 5,
    "cache_read_input_tokens": 3,
    "cache_creation_input_tokens": 2,
    "output_tokens": 7,
}


def anthropic_answer(*blocks: Fields, stop: str | None = "end_turn", **changes: object) -> bytes:
    """Return a whole answer, with a text unless told otherwise."""
    answer = _message(content=list(blocks or (TEXT,)), stop_reason=stop, usage=USAGE)
    return json.dumps({**answer, **changes}).encode()


def anthropic_stream(*blocks: Fields, stop: str | None = "end_turn") -> list[bytes]:
    """Return the events of the same answer streamed, the last of which is `message_stop`."""
    # As the API does it: the counts of the prompt come first, those of the answer last.
    usage = {**USAGE, "output_tokens": 1}
    events = [frame("message_start", message=_message(usage=usage)), frame("ping")]
    for index, block in enumerate(blocks or (TEXT,)):
        events += _block_events(index, block)
    end: Fields = {"stop_reason": stop, "stop_sequence": None}
    events.append(frame("message_delta", delta=end, usage={"output_tokens": 7}))
    return [*events, frame("message_stop")]


def anthropic_texts(*texts: str) -> list[bytes]:
    """Return the events of a streamed answer whose text comes in these pieces."""
    events = anthropic_stream({"type": "text", "text": ""})
    deltas = [frame_delta(0, type="text_delta", text=text) for text in texts]
    begin = events.index(frame_begin(0, {"type": "text", "text": ""})) + 1
    return [*events[:begin], *deltas, *events[begin:]]


def frame(kind: str, **fields: object) -> bytes:
    """Return one event."""
    data = json.dumps({"type": kind, **fields}, ensure_ascii=False)
    return f"event: {kind}\ndata: {data}\n\n".encode()


def frame_begin(index: int, block: Fields) -> bytes:
    """Return the event that begins a block."""
    return frame("content_block_start", index=index, content_block=block)


def frame_delta(index: int, **delta: object) -> bytes:
    """Return the event that adds to a block."""
    return frame("content_block_delta", index=index, delta=delta)


def frame_end(index: int) -> bytes:
    """Return the event that ends a block."""
    return frame("content_block_stop", index=index)


def frame_error(kind: str, message: str = "m") -> bytes:
    """Return the event that reports a failure."""
    return frame("error", error={"type": kind, "message": message})


def anthropic_error(kind: str, message: str = "m", **fields: object) -> bytes:
    """Return the body of a response that reports a failure."""
    error = {"type": kind, "message": message, **fields}
    return json.dumps({"type": "error", "error": error, "request_id": "req_1"}).encode()


async def answer_anthropic(exchange: Exchange) -> None:
    """Answer as Anthropic would: whole or streamed, as was asked."""
    if exchange.json.get("stream"):
        await exchange.begin_stream()
        await exchange.send(b"".join(anthropic_texts("Hel", "lo")))
        exchange.writer.close()
    else:
        await exchange.send_response(anthropic_answer())


def _message(**changes: object) -> Fields:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "served-model",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        **changes,
    }


def _block_events(index: int, block: Fields) -> list[bytes]:
    match block["type"]:
        case "text":
            start, deltas = {**block, "text": ""}, _pieces(block, "text", "text_delta", "text")
        case "thinking":
            start = {**block, "thinking": "", "signature": ""}
            deltas = _pieces(block, "thinking", "thinking_delta", "thinking")
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
        case "tool_use":
            start = {**block, "input": {}}
            written: Fields = {"input": json.dumps(block["input"], separators=(",", ":"))}
            deltas = [{"type": "input_json_delta", "partial_json": ""}]
            if block["input"]:
                deltas += _pieces(written, "input", "input_json_delta", "partial_json")
        case _:
            start, deltas = block, []
    return [
        frame_begin(index, start),
        *(frame_delta(index, **delta) for delta in deltas),
        frame_end(index),
    ]


def _pieces(block: Fields, name: str, kind: str, field: str) -> list[Fields]:
    text = str(block[name])
    pieces = (text[start : start + 3] for start in range(0, len(text), 3))
    return [{"type": kind, field: piece} for piece in pieces]
