"""What AWS Bedrock answers in its Converse dialect."""

import base64
import json
import struct
from binascii import crc32
from collections.abc import Mapping

from prompt_resolver_server.providers.wire.event_stream import EVENT_STREAM
from tests.support.upstream import Answer, Exchange

Fields = dict[str, object]

SIGNATURE = "c2lnbmVk=="
"""What stands for the provider's signature over what its model thought."""

SEALED = b"\x00sealed\xff"
"""What stands for what its model thought, where only the provider can read it."""

TEXT: Fields = {"text": "Hellö 世界"}
THINKING: Fields = {
    "reasoningContent": {"reasoningText": {"text": "Hm, well.", "signature": SIGNATURE}}
}
REDACTED: Fields = {
    "reasoningContent": {"redactedContent": base64.b64encode(SEALED).decode()},
}
CALL: Fields = {"toolUse": {"toolUseId": "tooluse_1", "name": "find", "input": {"a": [1, 2]}}}
BARE_CALL: Fields = {"toolUse": {"toolUseId": "tooluse_2", "name": "now", "input": {}}}
CITED: Fields = {
    "citationsContent": {
        "content": [{"text": "As it is written."}],
        "citations": [
            {
                "title": "Book",
                "sourceContent": [{"text": "It is."}],
                "location": {"documentPage": {"documentIndex": 0, "start": 1, "end": 2}},
            }
        ],
    }
}

USAGE: Fields = {
    "inputTokens": 5,
    "outputTokens": 7,
    "totalTokens": 17,
    "cacheReadInputTokens": 3,
    "cacheWriteInputTokens": 2,
}
METRICS: Fields = {"latencyMs": 42}


def bedrock_answer(*blocks: Fields, stop: str = "end_turn", **changes: object) -> bytes:
    """Return a whole answer, with a text unless told otherwise."""
    message = {"role": "assistant", "content": list(blocks or (TEXT,))}
    answer = {
        "output": {"message": message},
        "stopReason": stop,
        "usage": USAGE,
        "metrics": METRICS,
    }
    return json.dumps({**answer, **changes}).encode()


def bedrock_stream(*blocks: Fields, stop: str = "end_turn", **metadata: object) -> list[bytes]:
    """Return the messages of the same answer streamed, the last of which is `metadata`."""
    messages = [event("messageStart", role="assistant")]
    for index, block in enumerate(blocks or (TEXT,)):
        messages += _block_messages(index, block)
    messages.append(event("messageStop", stopReason=stop))
    return [*messages, event("metadata", **{"usage": USAGE, "metrics": METRICS, **metadata})]


def bedrock_texts(*texts: str) -> list[bytes]:
    """Return the messages of a streamed answer whose text comes in these pieces."""
    begin, _, end, *rest = bedrock_stream({"text": "-"})
    return [begin, *(delta(0, text=text) for text in texts), end, *rest]


def frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Return one message of an event stream, as AWS' specification has it."""
    block = b"".join(
        bytes([len(name)])
        + name.encode()
        + b"\x07"
        + struct.pack(">H", len(value))
        + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack(">II", len(block) + len(payload) + 16, len(block))
    message = prelude + struct.pack(">I", crc32(prelude)) + block + payload
    return message + struct.pack(">I", crc32(message))


def event(kind: str, **fields: object) -> bytes:
    """Return the message of an event. The API pads them, so that their sizes tell nothing."""
    headers = {
        ":event-type": kind,
        ":content-type": "application/json",
        ":message-type": "event",
    }
    return frame(headers, json.dumps({**fields, "p": "abcdefgh"}, ensure_ascii=False).encode())


def delta(index: int, **fields: object) -> bytes:
    """Return the event that adds to a block."""
    return event("contentBlockDelta", contentBlockIndex=index, delta=fields)


def exception(kind: str, message: str = "m") -> bytes:
    """Return the message that reports a failure."""
    headers = {
        ":exception-type": kind,
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    return frame(headers, json.dumps({"message": message}).encode())


async def send_stream(exchange: Exchange, *messages: bytes) -> None:
    """Answer with a stream, and hang up."""
    await exchange.begin_stream(content_type=EVENT_STREAM)
    await exchange.send(b"".join(messages))
    exchange.writer.close()


def stream_of(*messages: bytes) -> Answer:
    """Return a provider that streams these messages and then hangs up."""

    async def answer(exchange: Exchange) -> None:
        await send_stream(exchange, *messages)

    return answer


def is_stream(exchange: Exchange) -> bool:
    """Tell whether a stream is asked for."""
    return exchange.path.endswith("/converse-stream")


async def answer_bedrock(exchange: Exchange) -> None:
    """Answer as Bedrock would: whole or streamed, as was asked."""
    if is_stream(exchange):
        await send_stream(exchange, *bedrock_texts("Hel", "lo"))
    else:
        await exchange.send_response(bedrock_answer({"text": "Hello"}))


def _block_messages(index: int, block: Fields) -> list[bytes]:
    start: Fields | None = None
    pieces: list[Fields]
    match block:
        case {"text": str(text)}:
            pieces = [{"text": piece} for piece in _cut(text)]
        case {"reasoningContent": {"reasoningText": {"text": str(text), "signature": signature}}}:
            pieces = [{"reasoningContent": {"text": piece}} for piece in _cut(text)]
            pieces.append({"reasoningContent": {"signature": signature}})
        case {"reasoningContent": thought}:
            pieces = [{"reasoningContent": thought}]
        case {"toolUse": {"input": arguments, **call}}:
            start = {"toolUse": call}
            written = json.dumps(arguments, separators=(",", ":")) if arguments else ""
            pieces = [{"toolUse": {"input": piece}} for piece in ("", *_cut(written))]
        case {"citationsContent": {"content": content, "citations": citations}}:
            assert isinstance(content, list)
            assert isinstance(citations, list)
            pieces = [*content, *({"citation": citation} for citation in citations)]
        case _:
            pieces = []
    begin = [event("contentBlockStart", contentBlockIndex=index, start=start)] if start else []
    deltas = [delta(index, **piece) for piece in pieces]
    return [*begin, *deltas, event("contentBlockStop", contentBlockIndex=index)]


def _cut(text: str) -> list[str]:
    return [text[start : start + 3] for start in range(0, len(text), 3)]
