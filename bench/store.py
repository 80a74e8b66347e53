"""A store of prompts that counts how often it is asked.

python -m bench.store prints `ready HOST:PORT`. It has every prompt, in the form of LiteLLM's
generic prompt management. `POST /edit` changes all of them; `GET /state` tells how often prompts
were asked for, and how often they were changed.
"""

import asyncio

import uvloop
from aiohttp import web

_PATH = "/beta/litellm_prompt_management"


class _Store:
    """How often it was asked, and how often what it has was changed."""

    def __init__(self) -> None:
        self._requests = 0
        self._edits = 0

    async def get(self, request: web.Request) -> web.Response:
        self._requests += 1
        text = f"{request.query['prompt_id']} as of edit {self._edits}"
        answer = {
            "prompt_id": request.query["prompt_id"],
            "prompt_template": [{"role": "user", "content": text}],
            "prompt_template_model": "gpt-4o-mini",
        }
        return web.json_response(answer)

    async def edit(self, _: web.Request) -> web.Response:
        self._edits += 1
        return web.json_response({"edits": self._edits})

    async def state(self, _: web.Request) -> web.Response:
        return web.json_response({"requests": self._requests, "edits": self._edits})


async def _serve() -> None:
    store = _Store()
    app = web.Application()
    app.add_routes(
        [
            web.get(_PATH, store.get),
            web.post("/edit", store.edit),
            web.get("/state", store.state),
        ]
    )
    runner = web.AppRunner(app, access_log=None, handle_signals=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0]
    print(f"ready {host}:{port}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve())
