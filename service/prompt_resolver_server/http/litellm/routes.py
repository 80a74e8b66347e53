"""LiteLLM's Generic Prompt Management API, so that a LiteLLM proxy can have its prompts from here.

    GET /beta/litellm_prompt_management?prompt_id=

LiteLLM sends no version and no label. So `prompt_id` may be `id@version` or `id#environment`; or
the query, which LiteLLM's `provider_specific_query_params` are added to, says `version`,
`environment` or `label`, which is another word for environment, and `store`. An id that has an `@`
in it goes with a selector behind it, or in the query.
"""

import asyncio
from collections.abc import Mapping, Sequence

from aiohttp import web

from ...domain.errors import CallError, Reason
from ...domain.prompts import PromptRef
from ...entry.caller import Caller
from ...entry.serving import Serving
from ..calls import HttpCall, HttpCalls
from ..fields import as_text, read_text
from ..headers import served_headers
from ..openai.errors import OpenAIErrors
from .answer import write_prompt

_JSON = {"Content-Type": "application/json"}
_FIELDS = {
    "prompt.id": "prompt_id",
    "prompt.version": "version",
    "prompt.environment": "environment",
}


def litellm_routes(calls: HttpCalls, serving: Serving) -> Sequence[web.RouteDef]:
    """Return the routes of the API, inside of a running event loop."""
    api = LiteLLMApi(serving)
    return [
        web.get(
            "/beta/litellm_prompt_management",
            calls.wrap("litellm.prompt", api.get_prompt, OpenAIErrors(_FIELDS)),
        )
    ]


class LiteLLMApi:
    """Answers the API's calls by the `Catalogue` that serves when they come."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    async def get_prompt(self, call: HttpCall, caller: Caller) -> web.StreamResponse:
        """Answer with a prompt, its variables still in it."""
        call.enter("resolve")
        ref = read_ref(call.request.query)
        served = await self._serving.resolver.catalogue.fetch(
            ref,
            deadline=caller.deadline,
            credentials=caller.credentials,
        )
        # Its variables are found by reading all of it.
        body = await asyncio.to_thread(write_prompt, served.template, ref.id)
        return web.Response(body=body, headers={**_JSON, **served_headers(served)})


def read_ref(query: Mapping[str, str]) -> PromptRef:
    """Return which prompt is asked for, in which version. Raises `CallError`."""
    prompt_id, store = as_text(query.get("prompt_id"), "prompt_id"), read_text(query, "store")
    version, environment = read_text(query, "version"), read_text(query, "environment")
    label = read_text(query, "label")
    environments = {environment, label} - {None}
    if len(environments) + (version is not None) > 1:
        raise _selector("expected one of version, environment and label")
    environment = environment or label
    if version is None and environment is None:
        for mark in "#@":
            start, found, selector = prompt_id.rpartition(mark)
            if not found:
                continue
            if not selector:
                raise _selector(f"prompt_id: expected a selector behind {mark}")
            version, environment = (selector, None) if mark == "@" else (None, selector)
            prompt_id = start
            break
    return PromptRef(id=prompt_id, store=store, version=version, environment=environment)


def _selector(problem: str) -> CallError:
    return CallError(Reason.SELECTOR_INVALID, problem)
