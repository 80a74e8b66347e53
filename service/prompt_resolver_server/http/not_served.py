"""What the data door answers where no API of its own does."""

from aiohttp import web

from ..domain.errors import Reason
from ..domain.json_codec import encode_json
from ..domain.parameters import Json
from ..entry.caller import Caller
from .calls import HttpCall, HttpCalls
from .headers import OPENAI_KEYS
from .openai.errors import OpenAIErrors

_PLACES = "POST /v1/chat/completions, GET /v1/models, or Humanloop's and LiteLLM's ways to prompts"


def not_served(calls: HttpCalls) -> web.RouteDef:
    """Return the route of everything that no other route serves; it must be the last one."""
    handler = calls.wrap("other", _answer, OpenAIErrors(), keys=OPENAI_KEYS)
    return web.route("*", "/{path:.*}", handler)


async def _answer(call: HttpCall, caller: Caller) -> web.StreamResponse:
    allowed = await _find_methods(call.request)
    if allowed:
        expected = f"expected {' or '.join(allowed)} at this path, got {call.request.method}"
        return _respond(405, expected, "method_not_allowed", {"Allow": ", ".join(allowed)})
    return _respond(404, f"not served here; expected {_PLACES}", "not_found", {})


async def _find_methods(request: web.Request) -> list[str]:
    """Return the methods by which something is served at a request's path."""
    methods: set[str] = set()
    for resource in request.app.router.resources():
        methods |= (await resource.resolve(request))[1]
    return sorted(methods - {"*"})


def _respond(status: int, message: str, code: str, headers: dict[str, str]) -> web.Response:
    body: Json = {
        "error": {
            "message": message,
            "type": "not_found_error" if status == 404 else "invalid_request_error",
            "param": None,
            "code": code,
            "reason": str(Reason.NOT_IMPLEMENTED),
            "metadata": {},
        }
    }
    headers = {"Content-Type": "application/json", "x-should-retry": "false", **headers}
    return web.Response(status=status, body=encode_json(body), headers=headers)
