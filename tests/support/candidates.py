"""Two providers that can take a call, and how they fail."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from prompt_resolver import PromptResolverError
from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from tests.support.calls import VARIABLES, Streamed
from tests.support.service import RunningService, running_service
from tests.support.upstream import Answer, Exchange, Upstream, answer_openai, running_upstream


@dataclass(frozen=True)
class Scene:
    """A service whose providers `one` and `two` fail as a test says."""

    service: RunningService
    one: Upstream
    two: Upstream

    async def stream(self, alias: str, timeout_s: float = 60) -> Streamed:
        """Stream an alias' answer to its end, whatever the end is."""
        streamed = Streamed()
        try:
            async for event in self.service.client.complete_stream(
                "greet", alias=alias, variables=VARIABLES, timeout_s=timeout_s
            ):
                streamed.events.append(event)
        except PromptResolverError as error:
            streamed.error = error
        return streamed


@asynccontextmanager
async def running_scene(
    folder: Path, prompts: Path, config: str, *, stores: str = "", settings: str = ""
) -> AsyncIterator[Scene]:
    """Serve a configuration in which `one` and `two` have keys of those names.

    `settings` are further ones of `one`.
    """
    async with AsyncExitStack() as stack:
        one, two = [await stack.enter_async_context(running_upstream()) for _ in range(2)]
        whole = f"""
stores:
  local: {{type: directory, path: {prompts}}}{stores}
providers:
  one: {{dialect: openai, base_url: '{one.url}', api_key: key-of-one{settings}}}
  two: {{dialect: openai, base_url: '{two.url}', api_key: key-of-two}}
{config}
"""
        yield Scene(await stack.enter_async_context(running_service(folder, whole)), one, two)


def rows(*params: str) -> str:
    """Return a `model_list` of aliases `a`, `b` and so on, with these parameters."""
    listed = [
        f"  - {{model_name: {name}, litellm_params: {{{each}}}}}"
        for name, each in zip("abcdef", params, strict=False)
    ]
    return "\n".join(["model_list:", *listed])


def failing(times: int, status: str = "503 Service Unavailable", headers: str = "") -> Answer:
    """Return what answers the first requests with an error, and then as it should."""
    left = times

    async def answer(exchange: Exchange) -> None:
        nonlocal left
        if left:
            left -= 1
            await exchange.send_response(b"{}", status=status, headers=headers)
        else:
            await answer_openai(exchange)

    return answer


ALWAYS = 1000


def outcomes(attempts: Sequence[pb.Attempt]) -> list[tuple[str, str, str]]:
    return [(each.provider, each.model, each.outcome) for each in attempts]
