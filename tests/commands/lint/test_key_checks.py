"""A key that is mistyped is told; one that a format or a provider has is not."""

from pathlib import Path

import pytest

from prompt_resolver_server.commands.lint.findings import Finding
from tests.support.linting import lint
from tests.support.prompts import write_prompt

GOOD = "<user>\nHi\n</user>"


async def found(path: Path) -> list[Finding]:
    return [each for each in await lint(path) if each.code == "key-unknown"]


def write_dotprompt(root: Path, header: str) -> Path:
    path = root / "p.prompt"
    path.write_text(f'---\n{header}\n---\n{{{{role "user"}}}}Hi')
    return path


@pytest.mark.parametrize(
    ("key", "value", "hint"),
    [
        ("temprature", 0.2, "; did you mean 'temperature'?"),
        ("max_token", 5, "; did you mean 'max_tokens'?"),
        ("response_fromat", {"type": "json_object"}, "; did you mean 'response_format'?"),
        ("top_k", 3, ""),
        ("owner", "s3cret", ""),
    ],
)
async def test_humanloops_keys(tmp_path: Path, key: str, value: object, hint: str) -> None:
    """A key of a header that is none of Humanloop's is told with its line, and what was meant."""
    (finding,) = await found(write_prompt(tmp_path, "p", GOOD, **{key: value}))

    assert (finding.severity, finding.line) == ("warning", 5)
    assert finding.message == f"nothing reads the key {key!r}{hint}"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("outptu: {format: json}", "nothing reads the key 'outptu'; did you mean 'output'?"),
        (
            "temperature: 1",
            "nothing reads the key 'temperature'; did you mean 'config.temperature'?",
        ),
        ("input: {defualt: {a: 1}}", "nothing reads the key 'input.defualt'; did you mean 'defaul"),
        ("toolDefs: [{name: a, descripton: b}]", "nothing reads the key 'toolDefs.0.descripton'"),
        (
            "config: {temprature: 2}",
            "the key 'config.temprature' goes to the provider as it stands;",
        ),
        ("config: {stopSequence: [a]}", "the key 'config.stopSequence' goes to the provider"),
        ("config: {topKK: 2, maxOutputTokesn: 1}", "the key 'config.maxOutputTokesn' goes to the"),
    ],
)
async def test_dotprompts_keys(tmp_path: Path, line: str, message: str) -> None:
    """So is one of a dotprompt's, and in its `config` one that is a slip away from another."""
    (finding,) = await found(write_dotprompt(tmp_path, f"model: a/b\n{line}"))

    assert finding.line == 3
    assert finding.message.startswith(message)


async def test_tools(tmp_path: Path) -> None:
    """A key of a tool that nothing reads is told by its place."""
    tools = [{"name": "a"}, {"name": "b", "paramters": {}}]

    (finding,) = await found(write_prompt(tmp_path, "p", GOOD, tools=tools))

    assert finding.message.startswith("nothing reads the key 'tools.1.paramters'; did you mean")


async def test_slips_among_others(tmp_path: Path) -> None:
    """What Humanloop passes on is told where it is a slip away from a parameter's name."""
    path = write_prompt(tmp_path, "p", GOOD, other={"presence_penalti": 1})

    (finding,) = await found(path)

    assert "did you mean 'presence_penalty'?" in finding.message


OTHERS = [
    *("logit_bias", "logprobs", "top_logprobs", "min_p", "top_a", "top_n", "min_tokens", "speed"),
    *("repetition_penalty", "safety_settings", "thinking", "reasoning_format", "verbosity"),
    *("service_tier", "num_ctx", "max_new_tokens", "max_completion_tokens", "metadata", "store"),
]


async def test_what_providers_have(tmp_path: Path) -> None:
    """What a provider has beyond the parameters is passed on, and is right."""
    others = dict.fromkeys(OTHERS, 1)
    config = ", ".join(f"{name}: 1" for name in [*OTHERS, "responseMimeType", "thinkingConfig"])

    assert await found(write_prompt(tmp_path / "a", "p", GOOD, other=others)) == []
    assert await found(write_dotprompt(tmp_path, f"config: {{{config}}}")) == []


async def test_what_formats_have(tmp_path: Path) -> None:
    """All keys that a format documents are right, also those that are for display alone."""
    header = (
        "name: a\nvariant: b\nversion: c\ndescription: d\nmodel: a/b\nconfig: {version: v}\n"
        "input: {schema: {a: string}, default: {}}\noutput: {format: json, schema: {a: string}}\n"
        "tools: [t]\ntoolDefs: [{name: t, description: x, inputSchema: {a: string}}]\n"
        "metadata: {any: 1}\next: {any: 1}\nteam.owner: x"
    )
    fields = {
        "temperature": 1.0,
        "max_tokens": -1,
        "top_p": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "tools": [{"name": "t", "description": "", "strict": True, "parameters": {}}],
        "stop": ["a"],
        "seed": 1,
        "response_format": {"type": "text"},
        "reasoning_effort": "low",
        "other": {},
        "template_language": "default",
        "attributes": {"any": 1},
        "max_iterations": 3,
    }

    assert await found(write_prompt(tmp_path / "a", "p", GOOD, **fields)) == []
    assert await found(write_dotprompt(tmp_path, header)) == []
