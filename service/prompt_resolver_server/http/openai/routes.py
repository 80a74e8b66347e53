"""OpenAI's chat API: `/v1/chat/completions` and `/v1/models`, also without `/v1`.

Azure's clients have the alias in the path, as `/openai/deployments/{model}/chat/completions`.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from functools import partial

from aiohttp import web
from msgspec.structs import replace

from ...domain.answers import Delta
from ...domain.json_codec import encode_json
from ...domain.parameters import Json
from ...domain.prompts import ResolvedPrompt
from ...entry.caller import Caller
from ...entry.record import cut_labels
from ...entry.serving import Serving
from ...resolving.resolver import Resolution, Resolver
from ...runtime.aside import Aside
from ..calls import Handle, Handler, HttpCall, HttpCalls
from ..fields import read_document
from ..headers import OPENAI_KEYS, answered_headers, resolved_headers
from .answer import ChunkWriter, write_answer
from .errors import CHAT_FIELDS, OpenAIErrors
from .request import ChatRequest, read_request

_log = logging.getLogger(__name__)

# What takes a millisecond to read, if all of it is lists.
_LARGE_BYTES = 16 * 1024
_JSON = {"Content-Type": "application/json"}
_EVENTS = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}


def chat_routes(calls: HttpCalls, serving: Serving) -> Sequence[web.RouteDef]:
    """Return the routes of the API, inside of a running event loop."""
    api, errors = ChatApi(serving), OpenAIErrors(CHAT_FIELDS)

    def serve(name: str, handle: Handle) -> Handler:
        return calls.wrap(name, handle, errors, keys=OPENAI_KEYS)

    complete = serve("chat.completions", api.complete)
    list_models, get_model = serve("models", api.list_models), serve("models", api.get_model)
    routes = [web.post("/openai/deployments/{model:.+}/chat/completions", complete)]
    for prefix in ("/v1", ""):
        for end in ("", "/"):
            routes += [
                web.post(f"{prefix}/chat/completions{end}", complete),
                web.get(f"{prefix}/models{end}", list_models),
            ]
        routes.append(web.get(f"{prefix}/models/{{name:.+}}", get_model))
    return routes


class ChatApi:
    """Answers the API's calls, each by the `Resolver` that serves when it comes."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._aside = Aside("read")
        self._loop = asyncio.get_running_loop()
        self._since = int(time.time())

    async def complete(self, call: HttpCall, caller: Caller) -> web.StreamResponse:
        """Answer a chat: whole, or as it arrives."""
        body = await call.read()
        # A body may take its time: what counts is what is configured when it is there.
        resolver, caller = self._serving.resolver, self._renew(caller)
        read = partial(self._read, body, resolver, caller, call)
        request = read() if len(body) <= _LARGE_BYTES else await self._aside.do(read)
        call.take_until(request.query.deadline)
        call.enter("stream" if request.stream else "complete")
        resolution = await resolver.resolve(request.query)
        _log_labels(request, resolution, call)
        if request.stream:
            return await self._stream(call, request, resolver, resolution)
        answer, dispatch = await resolver.complete(resolution)
        return web.Response(
            body=write_answer(answer, request.name),
            headers={
                **_JSON,
                **resolved_headers(dispatch.prompt),
                **answered_headers(answer.finish, dispatch),
            },
        )

    def _renew(self, caller: Caller) -> Caller:
        """Return a caller with what it may use by now. Raises CALLER_FORBIDDEN."""
        credentials = caller.credentials
        permissions = self._serving.access.renew(credentials)
        if permissions is credentials.permissions:
            return caller
        return replace(caller, credentials=replace(credentials, permissions=permissions))

    def _read(self, body: bytes, resolver: Resolver, caller: Caller, call: HttpCall) -> ChatRequest:
        document = read_document(body)
        if (deployment := call.request.match_info.get("model")) is not None:
            document = {**document, "model": deployment}
        now = self._loop.time()
        return read_request(document, resolver, caller, now=now, latest=call.latest)

    @staticmethod
    async def _stream(
        call: HttpCall, request: ChatRequest, resolver: Resolver, resolution: Resolution
    ) -> web.StreamResponse:
        writer = ChunkWriter(request.name, with_usage=request.with_usage)

        async def deliver(prompt: ResolvedPrompt, deltas: Sequence[Delta]) -> None:
            if call.stream is None:
                await call.begin_stream({**_EVENTS, **resolved_headers(prompt)})
            await call.send(writer.deltas(deltas))

        finish, dispatch = await resolver.stream(resolution, deliver)
        await call.send(writer.finish(finish, dispatch.cost))
        assert call.stream is not None
        return call.stream

    async def list_models(self, call: HttpCall, caller: Caller) -> web.StreamResponse:
        """List the aliases, which are the models of this API: those that the caller may use."""
        names = self._serving.resolver.list_aliases(caller.credentials.permissions)
        models: list[Json] = [self._model(name) for name in names]
        return _respond({"object": "list", "data": models})

    async def get_model(self, call: HttpCall, caller: Caller) -> web.StreamResponse:
        """Tell of one alias."""
        name = call.request.match_info["name"]
        self._serving.resolver.check_alias(name, caller.credentials.permissions)
        return _respond(self._model(name))

    def _model(self, name: str) -> dict[str, Json]:
        return {
            "id": name,
            "object": "model",
            "created": self._since,
            "owned_by": "prompt-resolver",
        }


def _respond(document: Json) -> web.Response:
    return web.Response(body=encode_json(document), headers=_JSON)


def _log_labels(request: ChatRequest, resolution: Resolution, call: HttpCall) -> None:
    if request.labels:
        labels = cut_labels(request.labels)
        request.query.span.labelled(labels)
        _log.info(
            "a completion begins",
            extra={
                "prompt": request.query.prompt.id,
                "alias": request.query.alias,
                "provider": resolution.prompt.provider,
                "request_id": call.request_id,
                "labels": labels,
            },
        )
