"""The HTTP door serves prompts in the form of Humanloop's v5 API."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.http import HttpAnswer, HttpDoor
from tests.support.humanloop import KEY, HumanloopApi, running_humanloop, send
from tests.support.prompts import write_prompt
from tests.support.service import RunningService, running_service
from tests.support.upstream import Exchange

HELLO = "<user>\nHello {{name}}\n</user>"


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    """A directory with prompts whose ids have slashes in them, some of them misleading."""
    root = tmp_path / "prompts"
    for prompt_id in ("plain", "support/reply", "support/versions", "versions"):
        write_prompt(root, prompt_id, HELLO)
    write_prompt(root, "broken", "<user>\nnever closed")
    return root


@pytest.fixture
async def api() -> AsyncIterator[HumanloopApi]:
    """Humanloop's API, with a prompt in two versions, and another one."""
    async with running_humanloop() as api:
        api.put("Team/Hi", prompt_id="pr_1", version="prv_1", to="staging", template="old {{x}}")
        api.put("Team/Hi", prompt_id="pr_1", version="prv_2", template="new {{x}}")
        api.put("Other", prompt_id="pr_2", template=[{"role": "user", "content": "three"}])
        yield api


@pytest.fixture
async def remote(tmp_path: Path, api: HumanloopApi) -> AsyncIterator[RunningService]:
    """The service over that API."""
    config = f"stores: {{hl: {{type: humanloop, base_url: '{api.url}', api_key: {KEY}}}}}"
    async with running_service(tmp_path, config) as running:
        yield running


async def get(service: RunningService, path: str, **headers: str) -> HttpAnswer:
    return await HttpDoor(service.http_url).get(f"/v5{path}", **headers)


async def find(service: RunningService, body: object, query: str = "") -> HttpAnswer:
    return await HttpDoor(service.http_url).post(f"/v5/files/retrieve-by-path{query}", body)


@pytest.mark.parametrize(
    ("path", "prompt_id"),
    [
        ("plain", "plain"),
        ("support/reply", "support/reply"),
        ("support%2Freply", "support/reply"),
        ("support%2freply", "support/reply"),
        ("support%2Fversions", "support/versions"),
        ("versions", "versions"),
    ],
)
async def test_prompt(service: RunningService, path: str, prompt_id: str) -> None:
    """A prompt is served unrendered, whether its slashes are escaped or not."""
    reply = await get(service, f"/prompts/{path}")

    assert reply.status == 200
    assert (reply.value["id"], reply.value["path"]) == (prompt_id, prompt_id)
    assert reply.value["template"] == [{"role": "user", "content": "Hello {{name}}"}]
    assert reply.value["inputs"] == [{"name": "name"}]
    assert reply.headers["content-type"] == "application/json"


async def test_headers(service: RunningService) -> None:
    """The answer's headers tell which version was served, and how the cache took part."""
    reply = await get(service, "/prompts/plain", x_request_id="mine")

    assert reply.headers["x-prompt-version"] == reply.value["version_id"]
    assert reply.headers["x-prompt-store"] == "local"
    assert reply.headers["x-prompt-cache"] in ("miss", "hit")
    assert reply.headers["x-prompt-stale"] == "false"
    assert reply.headers["x-request-id"] == "mine"


async def test_versions_win(service: RunningService) -> None:
    """A path that could be a prompt's or a list's is the list's, unless its slash is escaped."""
    for path in ("support/reply/versions", "support%2Freply/versions"):
        (version,) = (await get(service, f"/prompts/{path}")).value["records"]
        assert version["id"] == "support/reply"
    for path in ("support/versions/versions", "support%2Fversions/versions"):
        (version,) = (await get(service, f"/prompts/{path}")).value["records"]
        assert version["id"] == "support/versions"

    reply = await get(service, "/prompts/support/versions")

    assert (reply.status, reply.value["metadata"]["id"]) == (404, "support")


async def test_environments_of_a_directory(service: RunningService) -> None:
    """A directory has no environments, which is an empty list."""
    reply = await get(service, "/prompts/support/reply/environments")

    assert (reply.status, reply.value) == (200, [])


async def test_list(service: RunningService) -> None:
    """Turning pages until one is empty finds every prompt once, and none that is broken."""
    found, page = [], 1
    while records := (reply := await get(service, f"/prompts?page={page}&size=3")).value["records"]:
        assert (reply.value["page"], reply.value["size"], reply.value["total"]) == (page, 3, 4)
        found += [record["id"] for record in records]
        page += 1

    assert found == ["plain", "support/reply", "support/versions", "versions"]


async def test_list_as_asked(service: RunningService) -> None:
    """A list is filtered and ordered as the query says; what it does not know is left alone."""
    query = "name=VERS&sort_by=name&order=desc&evaluator_aggregates=true&user_filter="

    records = (await get(service, f"/prompts?{query}")).value["records"]

    assert [record["id"] for record in records] == ["versions", "support/versions"]


async def test_by_path(service: RunningService) -> None:
    """A prompt is found by its path."""
    query = "?include_raw_file_content=true"
    reply = await find(service, {"path": "support/reply"}, query)

    assert (reply.status, reply.value["id"], reply.value["type"]) == (
        200,
        "support/reply",
        "prompt",
    )


async def test_selectors(remote: RunningService) -> None:
    """A prompt is served in the version that is asked for, or that is deployed where."""
    versions = {
        query: (await get(remote, f"/prompts/pr_1{query}")).value["version_id"]
        for query in ("", "?version_id=prv_1", "?environment=staging", "?environment=production")
    }
    by_path = (await find(remote, {"path": "Team/Hi"}, "?environment=staging")).value

    assert [*versions.values()] == ["prv_2", "prv_1", "prv_1", "prv_2"]
    assert (by_path["version_id"], by_path["template"]) == ("prv_1", "old {{x}}")
    assert (by_path["path"], by_path["endpoint"]) == ("Team/Hi", "complete")


async def test_lists_of_a_store(remote: RunningService, api: HumanloopApi) -> None:
    """Lists are those of the store: pages, versions, and environments with what they have."""
    page = (await get(remote, "/prompts?size=1&page=2")).value
    beyond = (await get(remote, "/prompts?size=1&page=3")).value
    versions = (await get(remote, "/prompts/pr_1/versions")).value
    environments = (await get(remote, "/prompts/Team/Hi/environments")).value

    assert ([each["id"] for each in page["records"]], page["total"]) == (["pr_2"], 2)
    assert (beyond["records"], beyond["total"]) == ([], 2)
    assert [each["version_id"] for each in versions["records"]] == ["prv_1", "prv_2"]
    assert [(each["name"], each["tag"], each["file"]["version_id"]) for each in environments] == [
        ("staging", "other", "prv_1"),
        ("production", "default", "prv_2"),
    ]
    assert environments[0]["created_at"] == "2025-05-01T12:00:00+00:00"


async def test_single_prompts_are_cached(remote: RunningService, api: HumanloopApi) -> None:
    """A prompt comes from the cache, and still does while the store is down; lists do not."""
    await get(remote, "/prompts/pr_1")
    assert (await get(remote, "/prompts")).status == 200

    async def fail(exchange: Exchange) -> None:
        await exchange.send_response(b"", status="503 Service Unavailable")

    api.fail = fail
    again = await get(remote, "/prompts/pr_1")

    assert (again.status, again.headers["x-prompt-cache"]) == (200, "hit")
    for path in ("/prompts", "/prompts/pr_1/versions", "/prompts/pr_1/environments"):
        reply = await get(remote, path)
        assert (reply.status, reply.value["reason"]) == (503, "STORE_UNAVAILABLE")
        assert isinstance(reply.value["detail"], str)


@pytest.mark.parametrize(
    ("path", "status", "place"),
    [
        ("/prompts?page=0", 422, ["query", "page"]),
        ("/prompts?page=x", 422, ["query", "page"]),
        ("/prompts?page=1_0", 422, ["query", "page"]),
        ("/prompts?page=" + "9" * 5000, 422, ["query", "page"]),
        ("/prompts?size=101", 422, ["query", "size"]),
        ("/prompts?size=", 422, ["query", "size"]),
        ("/prompts?sort_by=id", 422, ["query", "sort_by"]),
        ("/prompts?order=up", 422, ["query", "order"]),
        ("/prompts?user_filter=ada", 501, None),
        ("/prompts/plain?version_id=", 422, ["query", "version_id"]),
        ("/prompts/plain?version_id=a&environment=b", 422, ["query"]),
        ("/prompts/plain?version_id=nope", 404, None),
        ("/prompts/plain?environment=nope", 404, None),
        ("/prompts/nowhere", 404, None),
        ("/prompts/nowhere/versions", 404, None),
        ("/prompts/nowhere/environments", 404, None),
        ("/prompts/a%2F..%2Fb", 422, ["path", "id"]),
        ("/prompts/a%23b", 422, ["path", "id"]),
        ("/prompts/plain/", 422, ["path", "id"]),
        ("/prompts/broken", 500, None),
        ("/prompts/broken/versions", 500, None),
        ("/", 404, None),
        ("", 404, None),
        ("/files", 404, None),
        ("/promptsx", 404, None),
    ],
)
async def test_errors(
    service: RunningService, path: str, status: int, place: list[str] | None
) -> None:
    """What cannot be served is told in Humanloop's form: a text, or a list of what is malformed."""
    reply = await get(service, path)

    detail = reply.value["detail"]
    assert reply.status == status
    if place is None:
        assert isinstance(detail, str)
    else:
        assert [each["loc"] for each in detail] == [place]
        assert all(each["msg"] and each["type"] for each in detail)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"path": "nowhere"}, 404),
        ({"path": "../plain"}, 422),
        ({"path": ""}, 422),
        ({"path": 5}, 422),
        ({}, 422),
        ([], 422),
    ],
)
async def test_bad_paths(service: RunningService, body: object, status: int) -> None:
    """A path that is not there is not found; one that is none is malformed."""
    assert (await find(service, body)).status == status


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/prompts"),
        ("POST", "/prompts/call"),
        ("POST", "/prompts/log"),
        ("DELETE", "/prompts/plain"),
        ("PATCH", "/prompts/support/reply"),
        ("POST", "/prompts/plain/environments/env_1"),
        ("PUT", "/anything"),
    ],
)
async def test_read_only(service: RunningService, method: str, path: str) -> None:
    """What would write, call or log is refused, and told why."""
    reply = await HttpDoor(service.http_url).send(method, f"/v5{path}", b"{}")

    assert (reply.status, reply.value["reason"]) == (501, "NOT_IMPLEMENTED")
    assert "read-only" in reply.value["detail"]


GUARDED = """
stores: {{hl: {{type: humanloop, base_url: '{url}', api_key: {key}}}}}
general_settings: {{master_key: master-token}}
callers: {{ada: {{token: token-of-ada}}, bob: {{token: token-of-bob}}}}
"""


@pytest.fixture
async def guarded(tmp_path: Path, api: HumanloopApi) -> AsyncIterator[RunningService]:
    """The service over Humanloop's API, for three callers."""
    async with running_service(tmp_path, GUARDED.format(url=api.url, key=KEY)) as running:
        yield running


PATHS = ("/prompts", "/prompts/pr_1", "/prompts/pr_1/versions", "/prompts/pr_1/environments", "/x")


@pytest.mark.parametrize("path", PATHS)
async def test_who_may_call(guarded: RunningService, path: str) -> None:
    """`X-API-KEY` brings a token as well as `Authorization`, and everything needs one."""
    expected = 404 if path == "/x" else 200
    for token in ("master-token", "token-of-ada", "token-of-bob"):
        assert (await get(guarded, path, X_API_KEY=token)).status == expected
        assert (await get(guarded, path, Authorization=f"Bearer {token}")).status == expected
    for headers in (
        {},
        {"X_API_KEY": "wrong"},
        {"X_API_KEY": ""},
        {"X_API_KEY": KEY},
        {"Authorization": "token-of-ada"},
        {"X_API_KEY": "token-of-ada", "Authorization": "Bearer token-of-bob"},
    ):
        reply = await get(guarded, path, **headers)
        assert (reply.status, type(reply.value["detail"])) == (401, str)


async def test_key_header_is_of_clients_that_send_it(guarded: RunningService) -> None:
    """By the route that LiteLLM itself asks, `X-API-KEY` brings no token."""
    path = "/beta/litellm_prompt_management?prompt_id=pr_1"
    reply = await HttpDoor(guarded.http_url).get(path, X_API_KEY="token-of-ada")
    assert reply.status == 401


async def test_keys_of_the_store(guarded: RunningService, api: HumanloopApi) -> None:
    """A caller's own key of the store reaches the store, and opens nothing to anybody else."""
    ours = {"X_API_KEY": "token-of-ada"}
    theirs = {"X_API_KEY": "token-of-bob", "x_prompt_store_key": "key-of-bob"}
    for path in PATHS[:-1]:
        assert (await get(guarded, path, **ours)).status == 200
        assert (await get(guarded, path, **theirs)).status == 401
        assert (await get(guarded, path, **ours)).status == 200

    sent = {exchange.headers["x-api-key"] for exchange in api.exchanges}
    assert sent == {KEY, "key-of-bob"}
    assert sum(each.headers["x-api-key"] == "key-of-bob" for each in api.exchanges) == 4


async def test_key_is_nobodys_without_callers(remote: RunningService, api: HumanloopApi) -> None:
    """Where nobody needs a token, the key that an SDK always sends goes nowhere."""
    assert (await get(remote, "/prompts/pr_1", X_API_KEY="key-of-old")).status == 200
    assert [each.headers["x-api-key"] for each in api.exchanges] == [KEY]


async def test_operators_key_is_the_servers_fault(tmp_path: Path, api: HumanloopApi) -> None:
    """A store that refuses the configured key is a fault of the server, and not the caller's."""
    async with running_service(tmp_path, GUARDED.format(url=api.url, key="key-of-old")) as service:
        for path in PATHS[:-1]:
            reply = await get(service, path, X_API_KEY="token-of-ada")
            assert (reply.status, reply.value["reason"]) == (500, "STORE_AUTH")


async def test_deadline(remote: RunningService, api: HumanloopApi) -> None:
    """A store that does not answer holds a call no longer than its deadline, lists included."""

    async def hang(exchange: Exchange) -> None:
        await exchange.wait_closed()

    api.fail = hang
    for path in PATHS[:-1]:
        reply = await get(remote, path, x_request_timeout_ms="100")
        assert (reply.status, reply.value["reason"]) == (504, "DEADLINE")


async def test_admission(tmp_path: Path, api: HumanloopApi) -> None:
    """Reading counts as resolving: no more calls run at once than may."""
    config = f"""
server: {{max_resolves: 1}}
stores: {{hl: {{type: humanloop, base_url: '{api.url}', api_key: {KEY}}}}}
"""
    asked, may = asyncio.Event(), asyncio.Event()

    async def wait(exchange: Exchange) -> None:
        asked.set()
        await may.wait()
        await send(exchange, {"records": []})

    api.fail = wait
    async with running_service(tmp_path, config) as service:
        running = asyncio.create_task(get(service, "/prompts"))
        await asked.wait()
        for path in PATHS[:-1]:
            reply = await get(service, path)
            assert (reply.status, reply.value["reason"]) == (429, "OVERLOADED")
        assert (await find(service, {"path": "Team/Hi"})).status == 429
        may.set()

        assert (await running).status == 200


async def test_metrics(service: RunningService) -> None:
    """Calls are counted by what they are and how they ended."""
    await get(service, "/prompts/plain")
    await get(service, "/prompts/nowhere")

    name = "prompt_resolver_http_requests_total"
    for status in (200, 404):
        assert await service.metric(f'{name}{{route="humanloop.prompt",status="{status}"}}') == 1
