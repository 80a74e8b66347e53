"""The reading side of Humanloop's v5 API, over the default store.

    GET  /v5/prompts?page=&size=&name=&sort_by=&order=
    GET  /v5/prompts/{id}?version_id=&environment=
    GET  /v5/prompts/{id}/versions
    GET  /v5/prompts/{id}/environments
    POST /v5/files/retrieve-by-path?environment=

An id may have slashes in it, escaped or not. A path that ends in `/versions` or `/environments` is
that list; whoever means a prompt that is called so escapes the slash before it.
"""

import asyncio
from collections.abc import Callable, Sequence

from aiohttp import web

from ...catalogue import Catalogue
from ...domain.errors import Reason, ServerError
from ...domain.json_codec import encode_json
from ...domain.prompts import PromptRef
from ...entry.caller import Caller
from ...entry.serving import Serving
from ..calls import Handle, Handler, HttpCall, HttpCalls
from ..fields import read_document
from ..headers import KeyHeaders, served_headers
from .answer import write_environments, write_page, write_prompt, write_versions
from .errors import HumanloopErrors
from .request import read_list_query, read_path_ref, read_ref

_JSON = {"Content-Type": "application/json"}
_KEYS = KeyHeaders(("x-api-key",))


def humanloop_routes(calls: HttpCalls, serving: Serving) -> Sequence[web.RouteDef]:
    """Return the routes of the API, inside of a running event loop."""
    api, errors = HumanloopApi(serving), HumanloopErrors()

    def serve(name: str, handle: Handle) -> Handler:
        return calls.wrap(f"humanloop.{name}", handle, errors, keys=_KEYS)

    # The first that fits serves.
    return [
        web.get("/v5/prompts", serve("prompts", api.list_prompts)),
        web.get("/v5/prompts/{id:.+}/versions", serve("versions", api.list_versions)),
        web.get("/v5/prompts/{id:.+}/environments", serve("environments", api.list_environments)),
        web.get("/v5/prompts/{id:.+}", serve("prompt", api.get_prompt)),
        web.post("/v5/files/retrieve-by-path", serve("file", api.retrieve_by_path)),
        web.route("*", "/v5{rest:(/.*)?}", serve("other", api.refuse)),
    ]


class HumanloopApi:
    """Answers the API's calls by the `Catalogue` that serves when they come."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    @property
    def _catalogue(self) -> Catalogue:
        return self._serving.resolver.catalogue

    async def get_prompt(self, call: HttpCall, caller: Caller) -> web.StreamResponse:
        """Answer with a prompt."""
        call.enter("resolve")
        return await self._serve(read_ref(_id(call), call.request.query), caller)

    async def retrieve_by_path(self, call: HttpCall, caller: Caller) -> web.StreamResponse:
        """Answer with the prompt at a path."""
        document = read_document(await call.read())
        call.enter("resolve")
        return await self._serve(read_path_ref(document, call.request.query), caller)

    async def list_prompts(self, call: HttpCall, caller: Caller) -> web.StreamResponse:
        """Answer with a page of prompts, which is empty beyond the last of them."""
        call.enter("resolve")
        query = read_list_query(call.request.query)
        page = await self._catalogue.list_prompts(
            query, deadline=caller.deadline, credentials=caller.credentials
        )
        return await _respond(lambda: write_page(page, query))

    async def list_versions(self, call: HttpCall, caller: Caller) -> web.StreamResponse:
        """Answer with all versions of a prompt."""
        call.enter("resolve")
        versions = await self._catalogue.list_versions(
            _id(call), deadline=caller.deadline, credentials=caller.credentials
        )
        return await _respond(lambda: write_versions(versions))

    async def list_environments(self, call: HttpCall, caller: Caller) -> web.StreamResponse:
        """Answer with the environments of a prompt, and what is deployed to them."""
        call.enter("resolve")
        environments = await self._catalogue.list_environments(
            _id(call), deadline=caller.deadline, credentials=caller.credentials
        )
        return await _respond(lambda: write_environments(environments))

    async def refuse(self, call: HttpCall, caller: Caller) -> web.StreamResponse:
        """Tell what this API is not."""
        if call.request.method in ("GET", "HEAD"):
            body = encode_json({"detail": "there is nothing at this path"})
            return web.Response(status=404, body=body, headers=_JSON)
        raise ServerError(
            Reason.NOT_IMPLEMENTED,
            "this API is read-only: prompts are written where their store keeps them, and calls"
            " and logs are not served",
        )

    async def _serve(self, ref: PromptRef, caller: Caller) -> web.StreamResponse:
        served = await self._catalogue.fetch(
            ref, deadline=caller.deadline, credentials=caller.credentials
        )
        # Its variables are found by reading all of it.
        body = await asyncio.to_thread(write_prompt, served.template)
        return web.Response(body=body, headers={**_JSON, **served_headers(served)})


def _id(call: HttpCall) -> str:
    return call.request.match_info["id"]


async def _respond(write: Callable[[], bytes]) -> web.Response:
    # A list may be megabytes.
    return web.Response(body=await asyncio.to_thread(write), headers=_JSON)
