"""Azure OpenAI's answers: OpenAI's, with what its content filter says beside them."""

import json

from tests.support.upstream import Exchange, openai_answer

SAFE = {"hate": {"filtered": False, "severity": "safe"}}
PROMPT_VERDICT = [{"prompt_index": 0, "content_filter_results": SAFE}]
BLOCKED = {
    "message": "The response was filtered.",
    "type": None,
    "param": "prompt",
    "code": "content_filter",
    "status": 400,
    "innererror": {
        "code": "ResponsibleAIPolicyViolation",
        "content_filter_result": {"hate": {"filtered": True, "severity": "high"}},
    },
}


def azure_answer(text: str = "Hello") -> bytes:
    """Return a whole answer."""
    answer = json.loads(openai_answer(text, prompt_filter_results=PROMPT_VERDICT))
    answer["choices"][0] |= {"content_filter_results": SAFE, "logprobs": None}
    return json.dumps(answer).encode()


def azure_events(*texts: str, verdicts_apart: bool = False) -> list[bytes]:
    """Return the events of a streamed answer; its verdicts may come apart from what they judge."""

    def event(**fields: object) -> bytes:
        base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1}
        document = {**base, "model": "served-model", "system_fingerprint": "fp", **fields}
        return b"data: " + json.dumps(document, ensure_ascii=False).encode() + b"\n\n"

    def choice(delta: dict[str, str] | None, **more: object) -> object:
        given = {} if delta is None else {"delta": delta}
        return [{"index": 0, **given, "finish_reason": None, "logprobs": None, **more}]

    nameless: dict[str, object] = {"id": "", "model": "", "object": "", "created": 0}
    verdict: dict[str, object] = {} if verdicts_apart else {"content_filter_results": SAFE}
    events = [event(**nameless, choices=[], prompt_filter_results=PROMPT_VERDICT)]
    events.append(event(choices=choice({"role": "assistant", "content": ""}, **verdict)))
    events += [event(choices=choice({"content": text}, **verdict)) for text in texts]
    events.append(event(choices=choice({}, finish_reason="stop")))
    if verdicts_apart:
        offsets = {"check_offset": 0, "start_offset": 0, "end_offset": 5}
        apart = choice(None, content_filter_results=SAFE, content_filter_offsets=offsets)
        events.append(event(**nameless, choices=apart))
    counts = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    return [*events, event(choices=[], usage=counts), b"data: [DONE]\n\n"]


async def answer_azure(exchange: Exchange) -> None:
    """Answer as Azure would: whole or streamed, as was asked."""
    if exchange.json.get("stream"):
        await exchange.begin_stream()
        await exchange.send(b"".join(azure_events("Hel", "lo")))
        exchange.writer.close()
    else:
        await exchange.send_response(azure_answer())
