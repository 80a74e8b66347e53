"""A model's server whose answers are fixed: whole, or as a stream of 51 events.

python -m bench.upstream prints `ready HOST:PORT`. What is posted below `/after/60` is answered 60
ms later. `/last` tells the body that was last posted; every other GET is answered with a prompt, in
the form that LiteLLM's generic prompt management reads.
"""

import asyncio
import json
import os
import re
from typing import cast

import uvloop
from typing_extensions import override

EVENTS = 51
"""How many events a stream has, the last of them `[DONE]`."""

WORDS = tuple(f" word{number}" for number in range(EVENTS - 3))
_MODEL = "gpt-4o-mini"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_AFTER = re.compile(rb"POST /after/(\d+)/")
_STREAM = re.compile(rb'"stream": ?true')
_USAGE = {"prompt_tokens": 90, "completion_tokens": len(WORDS), "total_tokens": 90 + len(WORDS)}


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _answer(body: bytes) -> bytes:
    head = (
        f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _whole() -> bytes:
    message = {"role": "assistant", "content": "".join(WORDS)}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return _answer(_json(_envelope("chat.completion", [choice]) | {"usage": _USAGE}))


def _envelope(kind: str, choices: list[dict[str, object]]) -> dict[str, object]:
    return {
        "id": "chatcmpl-bench",
        "object": kind,
        "created": 1_700_000_000,
        "model": _MODEL,
        "choices": choices,
    }


def _streamed() -> list[bytes]:
    """Return the parts of a stream: its head, and each event as a chunk of its own."""
    deltas: list[dict[str, str]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": word} for word in WORDS]
    choices: list[dict[str, object]] = [
        {"index": 0, "delta": delta, "finish_reason": None} for delta in deltas
    ]
    choices.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    documents = [_envelope("chat.completion.chunk", [choice]) for choice in choices]
    documents[-1]["usage"] = _USAGE
    events = [b"data: " + _json(document) + b"\n\n" for document in documents]
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    chunks = [b"%x\r\n%s\r\n" % (len(event), event) for event in (*events, b"data: [DONE]\n\n")]
    return [head + chunks[0], *chunks[1:-1], chunks[-1] + b"0\r\n\r\n"]


_WHOLE = _whole()
_STREAMED = _streamed()
_PROMPT = _answer(
    _json(
        {
            "prompt_id": "bench",
            "prompt_template": [
                {"role": "system", "content": "You answer the customers of {company}."},
                {"role": "user", "content": "{message}"},
            ],
            "prompt_template_model": _MODEL,
            "prompt_template_optional_params": {"temperature": 0.3},
        }
    )
)


class _Connection(asyncio.Protocol):
    """One connection, whose requests come one after the other."""

    last = b"{}"

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = b""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    @override
    def data_received(self, data: bytes) -> None:
        self._received += data
        head, blank, rest = self._received.partition(b"\r\n\r\n")
        if not blank:
            return
        length = _LENGTH.search(head)
        if length is not None and len(rest) < int(length[1]):
            return
        self._received = b""
        self._take(head, rest)

    def _take(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"GET /last "):
            self._write([_answer(_Connection.last)])
        elif not head.startswith(b"POST "):
            self._write([_PROMPT])
        else:
            _Connection.last = body
            parts = _STREAMED if _STREAM.search(body) else [_WHOLE]
            if after := _AFTER.match(head):
                asyncio.get_running_loop().call_later(int(after[1]) / 1000, self._write, parts)
            else:
                self._write(parts)

    def _write(self, parts: list[bytes]) -> None:
        """Send each part by itself, as a model does; the event loop would join them."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        descriptor = transport.get_extra_info("socket").fileno()
        for index, part in enumerate(parts):
            try:
                sent = os.write(descriptor, part)
            except BlockingIOError:
                sent = 0
            except OSError:
                return
            if sent < len(part):
                transport.write(part[sent:] + b"".join(parts[index + 1 :]))
                return


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", 0, backlog=1024)
    host, port = server.sockets[0].getsockname()
    print(f"ready {host}:{port}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())
