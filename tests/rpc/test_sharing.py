"""Callers share a template, and nothing else."""

import asyncio
from pathlib import Path

import pytest

from tests.support.prompts import write_prompt
from tests.support.service import RunningService


@pytest.mark.parametrize("warm", [False, True])
async def test_two_callers_at_once(service: RunningService, prompts: Path, warm: bool) -> None:
    """Two callers with different variables, a thousand times at once, each get their own words."""
    write_prompt(prompts, "shared", "<user>\n{{who}} says {{what}}\n</user>")
    callers = (
        {"who": "ada", "what": "{{who}}" * 20},
        {"who": "bob {{what}}", "what": "no" * 50},
    )
    if warm:
        await service.client.resolve("shared", variables=callers[0])

    async def call(variables: dict[str, str]) -> str:
        response = await service.client.resolve("shared", variables=variables, timeout_s=60)
        return response.messages[0].content[0].text

    texts = await asyncio.gather(*[call(callers[number % 2]) for number in range(2000)])

    for number, text in enumerate(texts):
        variables = callers[number % 2]
        assert text == f"{variables['who']} says {variables['what']}"
