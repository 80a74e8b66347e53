"""The prices of the package, beside what it says itself and what one works out by hand."""

import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal

import genai_prices
import pytest
from genai_prices import data_snapshot

from prompt_resolver_server.domain.answers import Usage
from prompt_resolver_server.pricing.table import GenaiPrices, _Rates

OPENAI = "https://api.openai.com/v1"
ANTHROPIC = "https://api.anthropic.com"
GOOGLE = "https://generativelanguage.googleapis.com/v1beta"
OPENROUTER = "https://openrouter.ai/api/v1"
SOME = Usage(input_tokens=10, output_tokens=10)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def prices() -> GenaiPrices:
    return GenaiPrices(now=lambda: NOON)


def usd(prices: GenaiPrices, url: str, model: str, usage: Usage) -> float | None:
    cost = prices.price(url, model, usage)
    return cost.usd if cost is not None else None


IMPORTS = """
import sys
from prompt_resolver_server.domain.answers import Usage
from prompt_resolver_server.pricing.table import GenaiPrices

prices = GenaiPrices()
usage = Usage(input_tokens=300_000, output_tokens=9, cache_read_tokens=1, reasoning_tokens=1)
before = set(sys.modules)
for url, model in (("OPENAI", "gpt-4o"), ("GOOGLE", "gemini-2.5-pro"), ("OPENAI", "none")):
    prices.price(url, model, usage)
print(sorted(set(sys.modules) - before))
"""


def test_what_is_imported() -> None:
    """Where a fork is possible nothing is imported: all that the package needs came before."""
    program = IMPORTS.replace("OPENAI", OPENAI).replace("GOOGLE", GOOGLE)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout == "[]\n"


# In US dollars for a million tokens, as the vendors publish them: input, read from the cache,
# written to it, output.
@pytest.mark.parametrize(
    ("url", "model", "usage", "expected"),
    [
        (OPENAI, "gpt-4o", Usage(input_tokens=1000, output_tokens=500), 1000 * 2.5 + 500 * 10),
        (
            OPENAI,
            "gpt-4o-2024-08-06",
            Usage(input_tokens=1000, output_tokens=500, cache_read_tokens=600),
            400 * 2.5 + 600 * 1.25 + 500 * 10,
        ),
        (
            OPENAI,
            "gpt-4o-mini",
            Usage(input_tokens=10, output_tokens=90, reasoning_tokens=80),
            10 * 0.15 + 90 * 0.6,
        ),
        (
            ANTHROPIC,
            "claude-sonnet-4-5-20250929",
            Usage(
                input_tokens=1000, output_tokens=100, cache_read_tokens=200, cache_write_tokens=300
            ),
            500 * 3 + 200 * 0.3 + 300 * 3.75 + 100 * 15,
        ),
        (GOOGLE, "gemini-2.5-pro", Usage(input_tokens=200_000, output_tokens=10), 250_000 + 100),
        # Above 200,000 tokens all of them are dearer.
        (
            GOOGLE,
            "gemini-2.5-pro",
            Usage(input_tokens=200_001, output_tokens=10, cache_read_tokens=1),
            200_000 * 2.5 + 0.25 + 10 * 15,
        ),
        (
            "https://bedrock-runtime.us-east-1.amazonaws.com",
            "amazon.nova-lite-v1:0",
            Usage(input_tokens=100, output_tokens=100),
            100 * 0.06 + 100 * 0.24,
        ),
        (
            "https://mine.openai.azure.com/openai",
            "gpt-4o-2024-08-06",
            Usage(input_tokens=100, output_tokens=0),
            100 * 2.5,
        ),
        (OPENROUTER, "meta-llama/llama-3.3-70b-instruct:free", SOME, 0),
    ],
)
def test_price(prices: GenaiPrices, url: str, model: str, usage: Usage, expected: float) -> None:
    """An answer costs what its vendor's price for a million tokens makes of its tokens."""
    cost = prices.price(url, model, usage)

    assert cost is not None
    assert cost.usd == pytest.approx(expected / 1e6, rel=1e-12)
    assert cost.source == f"genai-prices {genai_prices.__version__}"


@pytest.mark.parametrize(
    ("url", "model", "usage"),
    [
        ("http://127.0.0.1:8080/v1", "gpt-4o", SOME),
        ("https://gateway.example/v1", "gpt-4o", SOME),
        (OPENAI, "claude-sonnet-4-5", SOME),
        (OPENAI, "gpt-none", SOME),
        (OPENAI, "", SOME),
        ("", "gpt-4o", SOME),
        # They are listed, and without any price.
        (OPENAI, "omni-moderation-latest", SOME),
        ("https://api.cerebras.ai/v1", "qwen-3-coder-480b", SOME),
        # Its output has no price.
        (OPENAI, "text-embedding-3-small", SOME),
        (OPENAI, "gpt-4o", Usage(input_tokens=10)),
        (OPENAI, "gpt-4o", Usage(output_tokens=10)),
        (OPENAI, "gpt-4o", Usage()),
        # They do not add up.
        (OPENAI, "gpt-4o", Usage(input_tokens=1, output_tokens=1, cache_read_tokens=2)),
        (OPENAI, "gpt-4o", Usage(input_tokens=1, output_tokens=1, reasoning_tokens=2)),
    ],
)
def test_unknown_price(prices: GenaiPrices, url: str, model: str, usage: Usage) -> None:
    """Where the vendor, the model, its price or the tokens are not known, there is none, nor 0."""
    assert prices.price(url, model, usage) is None


@pytest.mark.parametrize("length", [0, 1, 5_000, 150_000, 250_000, 2_000_000])
def test_every_model(length: int) -> None:
    """Of every model there is, our price is the package's own, at any length of the input."""
    counts = {
        "input_tokens": length,
        "cache_read_tokens": length // 3,
        "cache_write_tokens": length // 7,
        "output_tokens": 700,
        "output_reasoning_tokens": 300,
    }
    usage = Usage(
        input_tokens=length,
        cache_read_tokens=length // 3,
        cache_write_tokens=length // 7,
        output_tokens=700,
        reasoning_tokens=300,
    )
    compared = 0
    for vendor in data_snapshot.get_snapshot().providers:
        for model in vendor.models:
            price = model.get_prices(NOON)
            ours = _Rates(price, is_free=False).charge(usage)
            if ours is not None:
                theirs: Decimal = price.calc_price(genai_prices.Usage(**counts))["total_price"]
                assert ours == theirs, (vendor.id, model.id)
                compared += 1
    assert compared > 1_000
