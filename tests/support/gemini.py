"""What a provider answers in Google's Gemini dialect."""

import json
from collections.abc import Sequence

from tests.support.upstream import Exchange

Fields = dict[str, object]

SIGNATURE = "c2lnbmVk"
"""What stands for the API's signature over what its model thought."""

TEXT: Fields = {"text": "Hello"}
THOUGHT: Fields = {"text": "Hm, wéll.", "thought": True}
SIGNED_THOUGHT: Fields = {**THOUGHT, "thoughtSignature": SIGNATURE}
SIGNED_TEXT: Fields = {**TEXT, "thoughtSignature": SIGNATURE}
CALL: Fields = {
    "functionCall": {"id": "fc_1", "name": "find", "args": {"a": [1, 2]}},
    "thoughtSignature": SIGNATURE,
}
BARE_CALL: Fields = {"functionCall": {"name": "now", "args": {}}}
"""As models write it that give a call no id."""

USAGE: Fields = {
    "promptTokenCount": 8,
    "toolUsePromptTokenCount": 2,
    "cachedContentTokenCount": 3,
    "candidatesTokenCount": 4,
    "thoughtsTokenCount": 3,
    "totalTokenCount": 17,
}


def chunk(*parts: Fields, finish: str | None = None, **changes: object) -> Fields:
    """Return a chunk with a candidate; one with a finish reason has the counts, too."""
    candidate: Fields = {"index": 0, "content": {"role": "model", "parts": list(parts)}}
    document: Fields = {"candidates": [candidate]}
    if finish is not None:
        candidate["finishReason"] = finish
        document["usageMetadata"] = USAGE
    return {**document, "modelVersion": "served-model", "responseId": "resp_1", **changes}


def frame(document: object) -> bytes:
    """Return a chunk as a stream has it."""
    return b"data: " + json.dumps(document, ensure_ascii=False).encode() + b"\r\n\r\n"


def gemini_answer(*parts: Fields, finish: str | None = "STOP", **changes: object) -> bytes:
    """Return a whole answer, with a text unless told otherwise."""
    return json.dumps(chunk(*(parts or (TEXT,)), finish=finish, **changes), indent=2).encode()


def gemini_stream(*parts: Fields, finish: str = "STOP") -> list[bytes]:
    """Return the chunks of the same answer streamed, its texts in pieces."""
    pieces = [piece for part in parts or (TEXT,) for piece in _pieces(part)]
    return [*(frame(chunk(piece)) for piece in pieces), frame(chunk({"text": ""}, finish=finish))]


def gemini_texts(*texts: str) -> list[bytes]:
    """Return the chunks of a streamed answer whose text comes in these pieces."""
    *before, last = texts
    return [
        *(frame(chunk({"text": text})) for text in before),
        frame(chunk({"text": last}, finish="STOP")),
    ]


def gemini_error(
    status: str, message: str = "m", *details: Fields, code: int = 400, **fields: object
) -> bytes:
    """Return the body of a response that reports a failure."""
    return json.dumps(error_of(status, message, *details, code=code, **fields), indent=2).encode()


def error_of(
    status: str, message: str = "m", *details: Fields, code: int = 400, **fields: object
) -> Fields:
    """Return what reports a failure."""
    error: Fields = {"code": code, "message": message, "status": status, **fields}
    if details:
        error["details"] = list(details)
    return {"error": error}


async def answer_gemini(exchange: Exchange) -> None:
    """Answer as the API would: whole or streamed, as was asked."""
    await send_gemini(exchange, gemini_answer(), gemini_texts("Hel", "lo"))


async def send_gemini(exchange: Exchange, whole: bytes, streamed: Sequence[bytes]) -> None:
    """Send the one or the other, as was asked."""
    if is_stream(exchange):
        await exchange.begin_stream()
        await exchange.send(b"".join(streamed))
        exchange.writer.close()
    else:
        await exchange.send_response(whole)


def is_stream(exchange: Exchange) -> bool:
    """Tell whether a stream was asked for."""
    return exchange.path.endswith(":streamGenerateContent?alt=sse")


def _pieces(part: Fields) -> list[Fields]:
    """Return a part as it is streamed: its text in pieces, and a signature after it."""
    text = part.get("text")
    if not isinstance(text, str) or not text:
        return [part]
    same = {key: value for key, value in part.items() if key != "thoughtSignature"}
    pieces = [{**same, "text": text[at : at + 3]} for at in range(0, len(text), 3)]
    if part.get("thought"):
        pieces[-1] = {**part, "text": pieces[-1]["text"]}
    elif "thoughtSignature" in part:
        pieces.append({**part, "text": ""})
    return pieces
