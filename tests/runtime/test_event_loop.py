"""Names that are slow to be found keep nobody from finding others."""

import asyncio
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.calls import VARIABLES, failure
from tests.support.names import running_name_server
from tests.support.service import running_process
from tests.support.upstream import Upstream

_NAME_SERVER = ("127.53.53.53", 53)


async def test_name_that_many_ask_for() -> None:
    """A name is looked up once for all who ask at a time, and for each of them if others leave."""
    loop, before = asyncio.get_running_loop(), asyncio.all_tasks()
    asked = [asyncio.create_task(loop.getaddrinfo("localhost", 1)) for _ in range(20)]
    other = asyncio.create_task(loop.getaddrinfo("localhost", 2))
    await asyncio.sleep(0)
    looking = asyncio.all_tasks() - before - {*asked, other}

    asked[0].cancel()
    found, *others = [await each for each in asked[1:]]

    assert len(looking) == 2
    assert {address[1] for *_, address in found} == {1}
    assert others == [found] * 18
    assert {address[1] for *_, address in await other} == {2}
    assert {address[1] for *_, address in await loop.getaddrinfo("localhost", 1)} == {1}


@pytest.fixture
def asking(tmp_path: Path, require_all: bool) -> Sequence[str]:
    """The beginning of a command that has it look up names where the test's name server is."""
    file = tmp_path / "resolv.conf"
    file.write_text(f"nameserver {_NAME_SERVER[0]}\n")
    script = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
    below = ("unshare", "--mount", "sh", "-c", script, str(file))
    if shutil.which("unshare") and not subprocess.run((*below, "true"), check=False).returncode:
        return below
    assert not require_all, "nothing may be mounted here"
    pytest.skip("nothing may be mounted here")


@pytest.mark.foreign
@pytest.mark.parametrize("names", [1, 4])
async def test_store_whose_name_is_not_found(
    tmp_path: Path, prompts: Path, upstream: Upstream, asking: Sequence[str], names: int
) -> None:
    """While the names of stores are not found, a provider that has yet to be looked up answers."""
    stores = "".join(
        f"  s{number}: {{type: humanloop, base_url: 'http://silent{number}.test', api_key: k}}\n"
        for number in range(names)
    )
    url = upstream.url.replace("127.0.0.1", "provider.test")
    config = f"""
default_store: local
stores:
  local: {{type: directory, path: {prompts}}}
{stores}
providers: {{fake: {{dialect: openai, base_url: '{url}', api_key: key-of-fake}}}}
"""
    async with (
        running_name_server("127.0.0.1", at=_NAME_SERVER),
        running_process(tmp_path, config, below=asking) as (service, _),
    ):
        waiting = [
            asyncio.ensure_future(
                failure(service.client.resolve(f"pr_{number}", store=f"s{number % names}"))
            )
            for number in range(8)
        ]
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        answer = await service.client.complete("greet", variables=VARIABLES)
        errors = [await each for each in waiting]

    assert answer.message.content[0].text == "Hello"
    assert {error.reason for error in errors} == {"STORE_UNAVAILABLE"}
    assert done
