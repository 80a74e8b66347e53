"""The `echo` provider: answers without a network, with what was said to it."""

import re
from collections.abc import Callable

from ..domain.answers import Answer, Emit, Finish, ModelRequest, Opened, TextDelta, Usage
from ..domain.prompts import Message, Text
from .provider import do_nothing

_ID = "echo"


class EchoProvider:
    """A `Provider` whose models repeat the last user message, or else the last message.

    It counts words as tokens. Every parameter is accepted and none has an effect.
    """

    identity = "echo"
    base_url = ""
    vendor_url = ""

    async def complete(
        self,
        request: ModelRequest,
        *,
        caller_key: str | None,
        begun: Callable[[], None] = do_nothing,
    ) -> Answer:
        """Return the whole answer; see `Provider.complete`."""
        text = _echo(request)
        return Answer(
            id=_ID,
            message=Message(role="assistant", content=(Text(text),) if text else ()),
            finish=_finish(request, text),
        )

    async def stream(self, request: ModelRequest, emit: Emit, *, caller_key: str | None) -> Finish:
        """Emit the answer word by word; see `Provider.stream`."""
        text = _echo(request)
        await emit([Opened(id=_ID, model=request.model)])
        for word in re.findall(r"\s*\S+|\s+", text):
            await emit([TextDelta(word)])
        return _finish(request, text)


def _echo(request: ModelRequest) -> str:
    said = [message for message in request.messages if message.role == "user"]
    return (said or list(request.messages))[-1].text


def _finish(request: ModelRequest, text: str) -> Finish:
    return Finish(
        reason="stop",
        raw_reason="stop",
        model=request.model,
        usage=Usage(
            input_tokens=sum(len(message.text.split()) for message in request.messages),
            output_tokens=len(text.split()),
        ),
    )
