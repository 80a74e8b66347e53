"""Who may see what the page shows, and who may not."""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import pytest

from prompt_resolver_server.http.page.visitors import is_from_here
from tests.support.calls import VARIABLES
from tests.support.page import call, reason_of
from tests.support.prompts import write_prompt
from tests.support.service import RunningService, running_service, service_process

GREET = {"prompt_id": "greet", "variables": VARIABLES}
GUARDED = [("/api/overview", None), ("/api/prompts", None), ("/api/render", GREET)]


@pytest.mark.parametrize(("path", "post"), GUARDED)
async def test_tokens(
    tmp_path: Path, prompts: Path, path: str, post: Mapping[str, object] | None
) -> None:
    """Where calls need a token, so does the API, under any name; the files do not."""
    config = f"""
stores: {{local: {{type: directory, path: {prompts}}}}}
callers: {{ada: {{token: token-of-ada}}}}
general_settings: {{master_key: let-me-in}}
"""
    async with running_service(tmp_path, config) as service:

        async def ask(token: str | None) -> tuple[int, object]:
            headers = {"Host": "resolver.example"}
            if token is not None:
                headers["Authorization"] = f"Bearer {token}"
            status, document = await call(service, path, post=post, headers=headers)
            return status, reason_of(document) if status != 200 else None

        assert await ask(None) == (401, "CALLER_TOKEN_MISSING")
        assert await ask("let-me-out") == (401, "CALLER_TOKEN_INVALID")
        assert await ask("let-me-in") == (200, None)
        assert await ask("token-of-ada") == (200, None)
        async with aiohttp.ClientSession() as session, session.get(service.admin_url) as page:
            assert page.status == 200


@pytest.mark.parametrize(("path", "post"), GUARDED)
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost"}, 200),
        ({"Host": "LOCALHOST:9090"}, 200),
        ({"Host": "[::1]:9090"}, 200),
        ({"Host": "rebound.example:9090"}, 403),
        ({"Host": "localhost.rebound.example"}, 403),
        ({"Host": "192.0.2.1:9090"}, 403),
        ({"Host": ""}, 403),
        ({"Host": "["}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Host": "localhost:9090", "Origin": "http://localhost:9090"}, 200),
        ({"Host": "localhost:9090", "Origin": "http://localhost:8080"}, 403),
        ({"Host": "localhost:9090", "Origin": "https://elsewhere.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
    ],
)
async def test_no_tokens(
    service: RunningService,
    path: str,
    post: Mapping[str, object] | None,
    headers: dict[str, str],
    status: int,
) -> None:
    """Where calls need no token, the API answers to loopback's names and no other site's page."""
    answered, document = await call(service, path, post=post, headers=headers)

    assert answered == status
    if status == 403:
        assert reason_of(document) == "CALLER_FORBIDDEN"


@pytest.mark.parametrize(
    ("peer", "own", "expected"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("::1", "::1", True),
        ("192.0.2.7", "192.0.2.1", False),
        # As a mesh's proxy beside the service brings requests in.
        ("127.0.0.6", "192.0.2.1", False),
        ("192.0.2.1", "127.0.0.1", False),
    ],
)
def test_both_ends(peer: str, own: str, *, expected: bool) -> None:
    """A request comes from here if both ends of its connection are on loopback."""
    assert is_from_here({"Host": "localhost"}, ends=((peer, 1), (own, 9090))) is expected


async def test_a_form_renders_nothing(service: RunningService) -> None:
    """A POST that any site's form could send is refused."""
    for content_type in ("text/plain", "application/x-www-form-urlencoded"):
        async with (
            aiohttp.ClientSession() as session,
            session.post(
                f"{service.admin_url}/api/render",
                data=json.dumps(GREET),
                headers={"Content-Type": content_type},
            ) as response,
        ):
            assert response.status == 400
            assert reason_of(await response.json()) == "REQUEST_INVALID"


async def test_nothing_is_told(tmp_path: Path) -> None:
    """No text, value or token is in the log or the metrics, however talkative the log is."""
    canary = "canary77aa"
    write_prompt(tmp_path / "prompts", "greet", f"<user>\n{canary} {{{{v}}}}\n</user>")
    path = tmp_path / "c.yaml"
    path.write_text(f"""
server: {{log_level: debug}}
stores: {{local: {{type: directory, path: prompts}}}}
general_settings: {{master_key: {canary}-key}}
""")

    def ask(admin: str, token: str, document: object) -> int:
        request = urllib.request.Request(
            f"http://{admin}/api/render",
            json.dumps(document).encode(),
            {
                "Content-Type": "application/json",
                "Authorization": f"Bearer {token}",
                "x-prompt-store-key": f"{canary}-store",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code

    with service_process("--config", str(path)) as service:
        admin = service.door("admin")
        good = {"prompt_id": "greet", "variables": {"v": f"{canary}-value"}}
        bad = {"prompt_id": "greet", "variables": {"w": f"{canary}-value"}}
        statuses = [
            await asyncio.to_thread(ask, admin, token, document)
            for token, document in [
                (f"{canary}-key", good),
                (f"{canary}-key", bad),
                (f"{canary}-token", good),
            ]
        ]
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{admin}/metrics") as page,
        ):
            metrics = await page.text()
        _, log = await asyncio.to_thread(service.stop)

    assert statuses == [200, 400, 401]
    assert log.count("a call failed") == 2
    assert canary not in log + metrics
