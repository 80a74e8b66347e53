"""The routes of the page: its files, and what it asks for."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from aiohttp import web

from ...domain.errors import invalid_request
from ...domain.json_codec import encode_json
from ...domain.parameters import Json
from ...entry.admission import CallClass, Gate
from ...entry.caller import Caller
from ...entry.serving import Serving
from ...metrics import Metrics
from ...templates.cache.inventory import HeldTemplate
from ..calls import HttpCall, HttpCalls
from ..fields import read_document
from ..openai.errors import OpenAIErrors
from .files import SAFETY, file_routes
from .overview import Overview
from .rendered import read_query, write_prompt

PAGE_SIZE = 200
"""How many prompts are told of at once."""

_Answer = Callable[[HttpCall, Caller], Awaitable[dict[str, Json]]]
_HEADERS = {**SAFETY, "Cache-Control": "no-store"}


def page_routes(
    calls: HttpCalls,
    *,
    serving: Serving,
    metrics: Metrics,
    gates: Mapping[CallClass, Gate],
) -> Sequence[web.RouteDef]:
    """Return the routes of the page and of its API, inside of a running event loop."""
    errors = OpenAIErrors()
    api = PageApi(serving, Overview(serving=serving, metrics=metrics, gates=gates))

    def wrap(name: str, answer: _Answer) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(call: HttpCall, caller: Caller) -> web.StreamResponse:
            document = await answer(call, caller)
            return web.Response(body=encode_json(document), content_type="application/json")

        wrapped = calls.wrap(f"page.{name}", handle, errors)

        async def handler(request: web.Request) -> web.StreamResponse:
            response = await wrapped(request)
            response.headers.update(_HEADERS)
            return response

        return handler

    return [
        *file_routes(),
        web.get("/api/overview", wrap("overview", api.overview)),
        web.get("/api/prompts", wrap("prompts", api.prompts)),
        web.post("/api/render", wrap("render", api.render)),
    ]


class PageApi:
    """What the page asks for."""

    def __init__(self, serving: Serving, overview: Overview) -> None:
        self._serving = serving
        self._overview = overview

    async def overview(self, call: HttpCall, caller: Caller) -> dict[str, Json]:
        """Tell how it goes."""
        return self._overview.describe()

    async def prompts(self, call: HttpCall, caller: Caller) -> dict[str, Json]:
        """List what is held, a page of it from `skip` on, of those that match `text`."""
        query = call.request.query
        skip = query.get("skip", "0")
        if not (skip.isascii() and skip.isdigit() and len(skip) < 10):
            raise invalid_request("skip", "expected a whole number from 0")
        found = self._serving.resolver.inventory.find(
            query.get("text", ""), skip=int(skip), most=PAGE_SIZE + 1
        )
        return {
            "prompts": [_held(each) for each in found[:PAGE_SIZE]],
            "skip": int(skip),
            "more": len(found) > PAGE_SIZE,
        }

    async def render(self, call: HttpCall, caller: Caller) -> dict[str, Json]:
        """Render a prompt. No model is called."""
        if call.request.content_type != "application/json":
            raise invalid_request("content-type", "expected application/json")
        query = read_query(read_document(await call.read()), caller)
        call.enter("resolve")
        resolution = await self._serving.resolver.resolve(query)
        return write_prompt(resolution.prompt)


def _held(held: HeldTemplate) -> Json:
    template = held.template
    return {
        "id": held.id,
        "name": template.name,
        "store": held.store,
        "version": template.version,
        "environment": template.environment,
        "asked": {"version": held.version, "environment": held.environment},
        "reason": held.reason,
        "age_s": held.age_s,
        "freshness": held.freshness,
        "served": held.served,
        "idle_s": held.idle_s,
        "size": template.size,
        "content_sha256": template.content_sha256,
    }
