"""`completion` and `acompletion`: prompts in the shape that users of LiteLLM write."""

from typing import Literal, Unpack, overload

from .chat.answer import ChunkWriter, write_answer
from .chat.fields import read_flag
from .chat.records import ChatCompletion
from .chat.request import ChatOptions, Messages, read_request
from .chunks import AsyncChunks, Chunks
from .process import find_engine


@overload
def completion(
    model: str | None = None,
    messages: Messages = None,
    *,
    stream: Literal[False] | None = None,
    **options: Unpack[ChatOptions],
) -> ChatCompletion: ...
@overload
def completion(
    model: str | None = None,
    messages: Messages = None,
    *,
    stream: Literal[True],
    **options: Unpack[ChatOptions],
) -> Chunks: ...
@overload
def completion(
    model: str | None = None,
    messages: Messages = None,
    *,
    stream: bool | None,
    **options: Unpack[ChatOptions],
) -> ChatCompletion | Chunks: ...
def completion(
    model: str | None = None,
    messages: Messages = None,
    *,
    stream: bool | None = None,
    **options: Unpack[ChatOptions],
) -> ChatCompletion | Chunks:
    """Return a model's answer to a prompt, in OpenAI's shape.

    `model` is `humanloop/<model>`, `<provider>/<model>`, `humanloop/auto` for the template's own,
    or an alias of the service's configuration, which is any name without a `/`. `messages` are not
    used where the template has a user's turn, unless `append_messages` says so. A parameter that is
    set here wins over the template's.

    The call is made by the service at `PROMPT_RESOLVER_ADDRESS`, with the token
    `PROMPT_RESOLVER_TOKEN`, or the one in the file `PROMPT_RESOLVER_TOKEN_FILE`. Where there is no
    such address and the service is installed, it is made in this process with
    `PROMPT_RESOLVER_CONFIG` or the defaults. What the environment says counts when the first call
    is made. It may be made from any thread, and in a forked process too.

    With `stream` the answer comes in chunks, as it arrives. They end once it is whole; leaving them
    early, or their `close()`, ends the call, and with it the model's work.

    Raises `PromptResolverError` for a call that fails, `ConfigurationError` among them for one that
    cannot be made here, and `TypeError` or `ValueError` for what is none.
    """
    streamed = read_flag({"stream": stream}, "stream")
    request = read_request(model, messages, options)
    engine = find_engine()
    if not streamed:
        work = engine.complete(request.prompt_id, request.options)
        return write_answer(engine.wait(work, request.timeout_s))
    events = engine.stream(request.prompt_id, request.options)
    # What goes wrong before an answer begins is told here, as LiteLLM does.
    return Chunks(events, events.next(), ChunkWriter(with_usage=request.with_usage))


@overload
async def acompletion(
    model: str | None = None,
    messages: Messages = None,
    *,
    stream: Literal[False] | None = None,
    **options: Unpack[ChatOptions],
) -> ChatCompletion: ...
@overload
async def acompletion(
    model: str | None = None,
    messages: Messages = None,
    *,
    stream: Literal[True],
    **options: Unpack[ChatOptions],
) -> AsyncChunks: ...
@overload
async def acompletion(
    model: str | None = None,
    messages: Messages = None,
    *,
    stream: bool | None,
    **options: Unpack[ChatOptions],
) -> ChatCompletion | AsyncChunks: ...
async def acompletion(
    model: str | None = None,
    messages: Messages = None,
    *,
    stream: bool | None = None,
    **options: Unpack[ChatOptions],
) -> ChatCompletion | AsyncChunks:
    """Return a model's answer to a prompt, for asyncio; see `completion`.

    It may be awaited in any event loop. Cancelling it ends the call, and with it the model's work.
    """
    streamed = read_flag({"stream": stream}, "stream")
    request = read_request(model, messages, options)
    engine = find_engine()
    if not streamed:
        work = engine.complete(request.prompt_id, request.options)
        return write_answer(await engine.join(work, request.timeout_s))
    events = engine.stream(request.prompt_id, request.options)
    return AsyncChunks(events, await events.anext(), ChunkWriter(with_usage=request.with_usage))
