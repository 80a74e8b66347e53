"""Callers that call all the time, at every door, and expect every call to succeed."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Self

from prompt_resolver import AsyncPromptResolverClient, PromptResolverError
from tests.support.calls import VARIABLES, collect
from tests.support.http import HttpDoor
from tests.support.service import RunningService
from tests.support.watching import Watcher, refs, watching

_ANSWER = "Hello"
_PATIENCE_S = 30.0


class Callers:
    """Those who resolve, complete, stream and chat, each one call after the other, and who watch.

    They ask for the prompt `greet`, and for `remote` in the store `hl`, and bring the token that
    `find_token` gives. `faults` are the calls that failed; `calls` counts all by their kind.
    """

    def __init__(
        self,
        service: RunningService,
        find_token: Callable[[], str],
        *,
        remote: str,
    ) -> None:
        self._service = service
        self._find_token = find_token
        self._remote = remote
        self._kinds: Mapping[str, Callable[[], Awaitable[str]]] = {
            "resolve": self._resolve,
            "fetch": self._fetch,
            "complete": self._complete,
            "stream": self._stream,
            "chat": self._chat,
        }
        self._called = asyncio.Condition()
        self._stack = AsyncExitStack()
        self._stopping = False
        self.calls: Counter[str] = Counter()
        self.faults: list[str] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        client = AsyncPromptResolverClient(self._service.address)
        self._client = await self._stack.enter_async_context(client)
        self._watch: Watcher = await self._stack.enter_async_context(
            watching(self._service.address, refs("greet"), keys=[("authorization", self._bearer)])
        )
        await self._watch.told()
        self._tasks = [asyncio.ensure_future(self._repeat(*kind)) for kind in self._kinds.items()]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping = True
        await asyncio.gather(*self._tasks)
        if self._watch.has_ended:
            self.faults.append("watch: ended")
        await self._stack.aclose()

    async def every_kind(self) -> None:
        """Wait until a call of every kind has ended that began after now."""
        before = self.calls.copy()
        async with asyncio.timeout(_PATIENCE_S), self._called:
            # The one that runs by now is not such a call.
            await self._called.wait_for(
                lambda: all(self.calls[kind] >= before[kind] + 2 for kind in self._kinds)
            )

    @property
    def _bearer(self) -> str:
        return f"Bearer {self._find_token()}"

    async def _repeat(self, kind: str, call: Callable[[], Awaitable[str]]) -> None:
        while not self._stopping:
            try:
                outcome = await call()
            except PromptResolverError as error:
                outcome = error.reason or error.code.name
            if outcome != _ANSWER:
                self.faults.append(f"{kind}: {outcome}")
            async with self._called:
                self.calls[kind] += 1
                self._called.notify_all()

    async def _resolve(self) -> str:
        credentials = {"authorization": self._bearer}
        prompt = await self._client.resolve("greet", variables=VARIABLES, credentials=credentials)
        return _ANSWER if prompt.messages[1].content[0].text == "Ada" else "wrong text"

    async def _fetch(self) -> str:
        """Have a store asked that is somebody's service."""
        credentials = {"authorization": self._bearer}
        await self._client.resolve(self._remote, store="hl", refresh=True, credentials=credentials)
        return _ANSWER

    async def _complete(self) -> str:
        credentials = {"authorization": self._bearer}
        answer = await self._client.complete("greet", variables=VARIABLES, credentials=credentials)
        return answer.message.content[0].text

    async def _stream(self) -> str:
        credentials = {"authorization": self._bearer}
        streamed = await collect(self._client, credentials=credentials)
        if streamed.error is not None:
            raise streamed.error
        return streamed.text

    async def _chat(self) -> str:
        door = HttpDoor(self._service.http_url, {"Authorization": self._bearer})
        answer = await door.chat(
            model="fake/m",
            prompt_id="greet",
            prompt_variables=VARIABLES,
            messages=[{"role": "user", "content": "x"}],
        )
        return _ANSWER if answer.status == 200 else f"{answer.status} {answer.text}"
