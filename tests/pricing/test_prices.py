"""What an answer costs is told wherever the answer is, if it is known, and only then."""

import asyncio
import json
import math
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec.structs import replace

from prompt_resolver.chat.answer import ChunkWriter, write_answer
from prompt_resolver_server.domain.answers import Cost, Finish, ModelRequest, Usage
from prompt_resolver_server.domain.parameters import Json, Parameters
from prompt_resolver_server.domain.prompts import Media, MediaKind, Message
from prompt_resolver_server.pricing.prices import NO_PRICES, PriceTable, TablePrices
from tests.support.calls import VARIABLES
from tests.support.http import HttpDoor
from tests.support.service import RunningService, running_service
from tests.support.upstream import Upstream
from tests.support.vendor import Vendor, running_vendor

CONFIG = """
server: {{ca_file: {vendor.ca_file}}}
stores: {{local: {{type: directory, path: {prompts}}}}}
providers:
  openai: {{api_key: key-of-openai}}
  mine: {{dialect: openai, base_url: 'https://mine.example/v1'}}
model_list:
  - {{model_name: paid, litellm_params: {{model: openai/gpt-4o, prompt_id: greet}}}}
  - {{model_name: mine, litellm_params: {{model: mine/gpt-4o, prompt_id: greet}}}}
  - {{model_name: new, litellm_params: {{model: openai/of-tomorrow, prompt_id: greet}}}}
"""
ELSEWHERE = """
stores: {{local: {{type: directory, path: {prompts}}}}}
providers:
  openai: {{api_key: key-of-openai, base_url: {url}}}
model_list:
  - model_name: row
    litellm_params: {{model: openai/gpt-4o, prompt_id: greet, api_base: {url}}}
"""
# Five tokens of input and two of output, at 2.50 and 10 dollars for a million.
USD = 0.0000325
SOURCE = "genai-prices "


@dataclass(frozen=True)
class Scene:
    """A service, and whoever answers where it thinks that vendors are."""

    service: RunningService
    vendor: Vendor


@pytest.fixture
async def scene(tmp_path: Path, prompts: Path) -> AsyncIterator[Scene]:
    """A service whose vendors answer at their own addresses."""
    async with running_vendor(tmp_path, "api.openai.com", "mine.example") as vendor:
        config = CONFIG.format(vendor=vendor, prompts=prompts)
        async with running_service(tmp_path, config, vendor.environ) as service:
            yield Scene(service, vendor)


async def test_whole_answer(scene: Scene) -> None:
    """A whole answer tells its cost and where the price is from, the first one too."""
    response = await scene.service.client.complete(alias="paid", variables=VARIABLES)

    assert response.cost.usd == pytest.approx(USD)
    assert response.cost.source.startswith(SOURCE)


async def test_streamed_answer(scene: Scene) -> None:
    """A streamed answer tells its cost at its end."""
    stream = scene.service.client.complete_stream(alias="paid", variables=VARIABLES)
    events = [event async for event in stream]

    assert events[-1].finished.cost.usd == pytest.approx(USD)
    assert events[-1].finished.cost.source.startswith(SOURCE)


async def test_over_http(scene: Scene) -> None:
    """Over HTTP the cost is in a header, and of a stream among the usage, if that is asked for."""
    door = HttpDoor(scene.service.http_url)
    whole = await door.chat(model="paid", prompt_variables=VARIABLES)
    streamed = await door.chat(
        model="paid",
        prompt_variables=VARIABLES,
        stream=True,
        stream_options={"include_usage": True},
    )

    assert whole.headers["x-cost-usd"] == "0.0000325"
    assert whole.headers["x-cost-source"].startswith(SOURCE)
    usage = streamed.chunks[-1]["usage"]
    assert isinstance(usage, dict)
    assert usage["cost"] == pytest.approx(USD)


async def test_in_python(scene: Scene) -> None:
    """`completion` gives the cost as an attribute, and where users of LiteLLM look it up."""
    client = scene.service.client
    answer = write_answer(await client.complete(alias="paid", variables=VARIABLES))
    writer = ChunkWriter(with_usage=False)
    chunks = [
        chunk
        async for event in client.complete_stream(alias="paid", variables=VARIABLES)
        for chunk in writer.write(event)
    ]

    assert answer.cost is not None
    assert answer.cost.usd == pytest.approx(USD)
    assert answer._hidden_params == {"response_cost": answer.cost.usd}
    assert chunks[-1].cost == answer.cost


@pytest.mark.parametrize("alias", ["mine", "new"])
async def test_unknown_price(scene: Scene, alias: str) -> None:
    """Another vendor's model of that name has no price, not even zero; nor has an unlisted one."""
    response = await scene.service.client.complete(alias=alias, variables=VARIABLES)
    answered = await HttpDoor(scene.service.http_url).chat(model=alias, prompt_variables=VARIABLES)

    assert response.usage.input_tokens == 5
    assert not response.HasField("cost")
    assert "x-cost-usd" not in answered.headers
    answer = write_answer(response)
    assert (answer.cost, answer._hidden_params) == (None, {"response_cost": None})
    assert "prompt_resolver_cost_usd_total{" not in await scene.service.metrics()


async def test_another_way_to_a_vendor(tmp_path: Path, prompts: Path, upstream: Upstream) -> None:
    """A vendor's price holds where its provider is reached by way of another address, too."""
    config = ELSEWHERE.format(url=upstream.url, prompts=prompts)
    async with running_service(tmp_path, config) as service:
        moved = await service.client.complete("greet", model="openai/gpt-4o", variables=VARIABLES)
        of_row = await service.client.complete(alias="row", variables=VARIABLES)

    assert moved.cost.usd == of_row.cost.usd == pytest.approx(USD)


async def test_costs_are_counted(scene: Scene) -> None:
    """The metrics tell what each model has cost so far."""
    for _ in range(3):
        await scene.service.client.complete(alias="paid", variables=VARIABLES)

    counted = await scene.service.metric(
        'prompt_resolver_cost_usd_total{model="gpt-4o",provider="openai"}'
    )
    assert counted == pytest.approx(3 * USD)


URL = "https://api.openai.com/v1"
COST = Cost(usd=1.0, source="a list")


class List:
    """A table with the price of one model."""

    def price(self, url: str, model: str, usage: Usage) -> Cost | None:
        return COST if model == "m" else None


def request(model: str = "m", **extra: Json) -> ModelRequest:
    return ModelRequest(model=model, messages=(), parameters=Parameters(extra=extra))


def finish(model: str = "m") -> Finish:
    return Finish(reason="stop", raw_reason="stop", model=model, usage=Usage())


async def test_table_is_waited_for() -> None:
    """An answer that comes before the table keeps its cost, and the loop goes on meanwhile."""
    may_go_on = threading.Event()
    threads: list[int] = []

    def load() -> PriceTable:
        threads.append(threading.get_ident())
        assert may_go_on.wait(10)
        return List()

    prices = TablePrices(load)
    assert prices.prepare(URL)
    assert prices.prepare(URL)
    finding = asyncio.ensure_future(prices.find(URL, request(), finish(), deadline=math.inf))
    await asyncio.sleep(0)
    assert not finding.done()
    may_go_on.set()

    assert await finding == COST
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()


async def test_table_that_comes_too_late() -> None:
    """No caller is kept waiting beyond its deadline for a cost."""
    may_go_on = threading.Event()

    def load() -> PriceTable:
        may_go_on.wait(10)
        return List()

    prices = TablePrices(load)
    prices.prepare(URL)
    finding = asyncio.ensure_future(prices.find(URL, request(), finish(), deadline=0.0))
    # In less turns of the event loop than a thread takes.
    for _ in range(10):
        await asyncio.sleep(0)
    is_done = finding.done()
    may_go_on.set()

    assert is_done
    assert await finding is None


async def test_table_that_may_never_come() -> None:
    """Answers wait in vain once, not each of them, and have their cost when the table is there."""
    may_go_on = threading.Event()

    def load() -> PriceTable:
        may_go_on.wait(10)
        return List()

    prices = TablePrices(load, patience_s=0.1)
    prices.prepare(URL)
    first = await prices.find(URL, request(), finish(), deadline=math.inf)
    then = asyncio.ensure_future(prices.find(URL, request(), finish(), deadline=math.inf))
    # In less turns of the event loop than a tenth of a second takes.
    for _ in range(10):
        await asyncio.sleep(0)
    is_done = then.done()
    may_go_on.set()
    assert (first, is_done) == (None, True)
    assert await then is None

    assert prices._loading is not None
    await prices._loading
    assert await prices.find(URL, request(), finish(), deadline=math.inf) == COST


async def test_table_that_nobody_needs() -> None:
    """Who asks no vendor does not pay for the table."""
    loaded: list[str] = []

    def load() -> PriceTable:
        loaded.append("it")
        return List()

    prices = TablePrices(load)
    for url in ("", "http://127.0.0.1:8080/v1"):
        assert not prices.prepare(url)
        assert await prices.find(url, request(), finish(), deadline=math.inf) is None
    assert not NO_PRICES.prepare(URL)
    assert await NO_PRICES.find(URL, request(), finish(), deadline=math.inf) is None

    assert loaded == []


async def test_table_that_cannot_be_loaded(caplog: pytest.LogCaptureFixture) -> None:
    """A broken table is told of once, and no answer has a price."""

    def load() -> PriceTable:
        raise ImportError("a text that nobody knows")

    prices = TablePrices(load)
    for _ in range(2):
        prices.prepare(URL)
        assert await prices.find(URL, request(), finish(), deadline=math.inf) is None

    assert [record.message for record in caplog.records] == ["the prices could not be loaded"]
    assert "nobody knows" not in json.dumps([vars(each) for each in caplog.records], default=str)


@pytest.mark.parametrize(
    ("asked", "answered", "extra", "expected"),
    [
        ("m", "m", {}, COST),
        ("a-deployment", "m", {}, COST),
        ("m", "a-snapshot", {}, COST),
        ("x", "y", {}, None),
        ("m", "m", {"service_tier": "default"}, COST),
        ("m", "m", {"service_tier": "flex"}, None),
        ("m", "m", {"speed": "fast"}, None),
        ("m", "m", {"other": 1}, COST),
        ("m", "m", {"service_tier": "standard"}, COST),
        ("m", "m", {"serviceTier": "flex"}, None),
        ("m", "m", {"serviceTier": "STANDARD"}, COST),
        ("m", "m", {"serviceTier": {"type": "priority"}}, None),
        ("m", "m", {"serviceTier": {"type": "default"}}, COST),
        ("m", "m", {"performanceConfig": {"latency": "optimized"}}, None),
        ("m", "m", {"performanceConfig": {"latency": "standard"}}, COST),
        ("m", "m", {"inference_geo": "us"}, None),
        ("m", "m", {"inference_geo": "global"}, COST),
        ("m", "m", {"modalities": ["text", "audio"]}, None),
        ("m", "m", {"modalities": ["text"]}, COST),
        ("m", "m", {"responseModalities": ["AUDIO"]}, None),
        ("m", "m", {"service_tier": None, "modalities": None}, COST),
        ("m", "m", {"additionalModelRequestFields": {"speed": "fast"}}, None),
        ("m", "m", {"additionalModelRequestFields": {"speed": "standard", "top_k": 1}}, COST),
        ("m", "m", {"additionalModelRequestFields": None}, COST),
    ],
)
async def test_whose_price(
    asked: str, answered: str, extra: dict[str, Json], expected: Cost | None
) -> None:
    """The price is that of the model that answered, else of the one asked for, on usual terms."""
    prices = TablePrices(List)
    prices.prepare(URL)

    assert (
        await prices.find(URL, request(asked, **extra), finish(answered), deadline=math.inf)
        == expected
    )


@pytest.mark.parametrize(
    ("caching", "written", "expected"),
    [
        ({"type": "ephemeral"}, 7, COST),
        ({"type": "ephemeral", "ttl": "5m"}, 7, COST),
        ({"type": "ephemeral", "ttl": "1h"}, 7, None),
        ({"type": "ephemeral", "ttl": "1h"}, 0, COST),
    ],
)
async def test_what_is_kept_for_long(
    caching: dict[str, Json], written: int, expected: Cost | None
) -> None:
    """What a cache keeps for longer than usual costs more to write, and no more to read."""
    prices = TablePrices(List)
    prices.prepare(URL)
    usage = Usage(input_tokens=9, output_tokens=1, cache_read_tokens=2, cache_write_tokens=written)
    ended = replace(finish("m"), usage=usage)

    found = await prices.find(URL, request("m", cache_control=caching), ended, deadline=math.inf)

    assert found == expected


@pytest.mark.parametrize("kind", ["audio", "image"])
async def test_sounds(kind: MediaKind) -> None:
    """Sounds cost other than text, and how many tokens they are is not told."""
    prices = TablePrices(List)
    prices.prepare(URL)
    message = Message(role="user", content=(Media(kind=kind, data=b"a"),))
    asked = replace(request("m"), messages=(message,))

    found = await prices.find(URL, asked, finish("m"), deadline=math.inf)

    assert found == (None if kind == "audio" else COST)
