"""The providers that are known as data: each row is sound, and calls go where it says."""

import json
import re
from pathlib import Path

import msgspec
import pytest

from prompt_resolver_server.domain.answers import ModelRequest
from prompt_resolver_server.domain.errors import CallError, Reason
from prompt_resolver_server.domain.parameters import TYPED_PARAMETERS, Parameters
from prompt_resolver_server.domain.prompts import Message, Text
from prompt_resolver_server.providers import catalogue
from prompt_resolver_server.providers.catalogue import CATALOGUE, CatalogueRow
from prompt_resolver_server.providers.dialects import DIALECTS
from prompt_resolver_server.providers.signers import SIGNERS
from prompt_resolver_server.settings.accounts import ACCOUNT
from prompt_resolver_server.settings.fields import PROVIDER_NAME
from prompt_resolver_server.settings.model import ProviderSettings
from tests.support.unsent import request_of

DATA = Path(catalogue.__file__).with_name("openai_compatible.json")
LINE = re.compile(r'^  "([^"]+)": \{.*\},?$')
BRACES = re.compile(r"\{(\w+)\}")
PARTS = {"[DONE]", "stream_options"}

ROWS = {name: row for name, row in CATALOGUE.items() if row.dialect in ("openai", "azure")}
WITH_VARIABLES = [
    (name, variable) for name, row in ROWS.items() for variable in row.base_url_variables
]
NEW_LIMIT = {"azure", "openai", "streamlake"}
NO_STREAM_OPTIONS = {"codestral", "mistral"}
PATHS = {"azure": "/openai/deployments/m/chat/completions?api-version=of-azure-api-version"}

each_row = pytest.mark.parametrize("name", ROWS)
each_row_of_all = pytest.mark.parametrize("name", CATALOGUE)


def ask(**parameters: object) -> ModelRequest:
    return ModelRequest(
        model="m",
        messages=(Message(role="user", content=(Text("Hi"),)),),
        parameters=Parameters(max_tokens=10, temperature=0.5, **parameters),  # type: ignore[arg-type]  # any of them
    )


def environ_of(row: CatalogueRow) -> dict[str, str]:
    """Return the keys of all providers, and what a row needs beside its key."""
    keys = {
        variable: f"key-of-{variable}"
        for other in CATALOGUE.values()
        for variable in other.key_variables
    }
    account = {
        variable: f"of-{variable.lower().replace('_', '-')}"
        for variables in row.account_variables.values()
        for variable in variables
    }
    if row.base_url is None and row.base_url_variables:
        account[row.base_url_variables[0]] = "https://own.invalid/v1"
    return {**keys, **account}


def config_of(name: str, row: CatalogueRow) -> str:
    if row.base_url is None and not row.base_url_variables:
        return f"providers: {{{name}: {{base_url: 'https://own.invalid/v1'}}}}"
    return ""


def test_lines() -> None:
    """The data has one row a line, sorted by its name, and no name twice."""
    first, *lines, last = DATA.read_text().splitlines()
    names = [match[1] for line in lines if (match := LINE.fullmatch(line))]

    assert (first, last) == ("{", "}")
    assert len(names) == len(lines)
    assert names == sorted(set(names))
    assert len(names) > 100


@pytest.mark.parametrize(
    "row",
    [
        {"base_ur": "https://x.invalid"},
        {"base_url": 1},
        {"key_variables": "KEY"},
        {"quirks": {"one_txt": True}},
        {"quirks": {"lacks": "top_k"}},
    ],
)
def test_rows_that_are_none(row: dict[str, object]) -> None:
    """A row with a slip in it stops the service from being loaded at all."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(json.dumps(row), type=CatalogueRow)


@each_row_of_all
def test_row(name: str) -> None:
    """Whatever a row names is there to be named."""
    row = CATALOGUE[name]

    assert re.fullmatch(PROVIDER_NAME, name)
    assert row.dialect in DIALECTS
    assert row.signer is None or row.signer in SIGNERS
    assert set(row.account_variables) <= set(ACCOUNT)
    assert all(re.fullmatch(r"[A-Z0-9_]+", each) for each in row.key_variables)
    if row.base_url is not None:
        assert set(BRACES.findall(row.base_url)) <= set(row.account_variables)
        filled = BRACES.sub("x", row.base_url)
        assert ProviderSettings(base_url=filled).base_url == filled.rstrip("/")
        assert filled.startswith("https://") or "//localhost:" in filled or "//127." in filled


@each_row
def test_quirks(name: str) -> None:
    """Quirks are about what the dialect has."""
    quirks = ROWS[name].quirks

    assert quirks.lacks <= TYPED_PARAMETERS | PARTS
    assert set(quirks.renames) <= TYPED_PARAMETERS | {"max_completion_tokens"}


@each_row
async def test_where_a_request_goes(name: str, tmp_path: Path) -> None:
    """A request goes to the row's URL with its own key, and with no other provider's."""
    row = ROWS[name]
    environ = environ_of(row)

    sent = await request_of(
        tmp_path, name, ask(seed=7), config=config_of(name, row), environ=environ
    )

    base_url = row.base_url or "https://own.invalid/v1"
    for setting, variables in row.account_variables.items():
        base_url = base_url.replace(f"{{{setting}}}", environ[variables[0]])
    assert sent.url == base_url + PATHS.get(name, "/chat/completions")
    keys = [value.removeprefix("Bearer ") for value in sent.headers.values()]
    assert set(keys) == ({f"key-of-{row.key_variables[0]}"} if row.key_variables else set())
    body = json.loads(sent.body)
    assert body["model"] == ("accounts/fireworks/models/m" if name == "fireworks_ai" else "m")
    assert set(body) == {
        *("model", "messages", "stream", "temperature"),
        *([] if name in NO_STREAM_OPTIONS else ["stream_options"]),
        "max_completion_tokens" if name in NEW_LIMIT else "max_tokens",
        "random_seed" if name in NO_STREAM_OPTIONS else "seed",
    }


@each_row
async def test_other_name_of_the_limit(name: str, tmp_path: Path) -> None:
    """A vendor who is known is sent the name that it takes, and a server of one's own the given."""
    row = ROWS[name]
    request = ask(limit_name="max_completion_tokens")

    sent = await request_of(
        tmp_path, name, request, config=config_of(name, row), environ=environ_of(row)
    )

    is_kept = name in NEW_LIMIT or (row.base_url is None and name != "databricks")
    limits = {"max_tokens", "max_completion_tokens"} & json.loads(sent.body).keys()
    assert limits == {"max_completion_tokens" if is_kept else "max_tokens"}


@pytest.mark.parametrize("name", ["deepseek", "mistral", "openai"])
@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
async def test_limit_elsewhere(name: str, limit: str, tmp_path: Path) -> None:
    """Behind another address stands another server, which is sent the name that was given."""
    config = f"providers: {{{name}: {{base_url: 'https://own.invalid/v1', api_key: k}}}}"

    sent = await request_of(tmp_path, name, ask(limit_name=limit), config=config)

    limits = {"max_tokens", "max_completion_tokens"} & json.loads(sent.body).keys()
    assert limits == {limit}


@each_row
async def test_other_variables_of_a_key(name: str, tmp_path: Path) -> None:
    """Each of a row's variables holds its key where those before it are not set."""
    row = ROWS[name]
    for index, variable in enumerate(row.key_variables):
        environ = environ_of(row) | dict.fromkeys(row.key_variables[:index], "")

        sent = await request_of(tmp_path, name, ask(), environ=environ)

        assert f"key-of-{variable}" in "".join(sent.headers.values())


@each_row
async def test_without_a_key(name: str, tmp_path: Path) -> None:
    """Without a key nothing is sent, except to what may need none, which is sent nobody's."""
    row = ROWS[name]
    environ = environ_of(row) | dict.fromkeys(row.key_variables, "")
    environ.pop("AZURE_AD_TOKEN", None)
    config = config_of(name, row)

    if row.key_optional:
        sent = await request_of(tmp_path, name, ask(), config=config, environ=environ)
        assert sent.headers == {}
        return
    with pytest.raises(CallError) as caught:
        await request_of(tmp_path, name, ask(), config=config, environ=environ)

    assert caught.value.reason is Reason.PROVIDER_KEY_MISSING
    assert caught.value.metadata["provider"] == name
    assert row.signer or all(each in caught.value.message for each in row.key_variables)


@pytest.mark.parametrize(("name", "variable"), WITH_VARIABLES)
async def test_variable_of_a_base_url(name: str, variable: str, tmp_path: Path) -> None:
    """A variable moves a provider somewhere else."""
    row = ROWS[name]
    environ = environ_of(row) | dict.fromkeys(row.base_url_variables, "")
    environ[variable] = "https://moved.invalid/to"

    sent = await request_of(tmp_path, name, ask(), environ=environ)

    assert sent.url.startswith("https://moved.invalid/to/")


@pytest.mark.parametrize(
    ("name", "variables"),
    [
        ("groq", ("GROQ_API_BASE",)),
        ("hosted_vllm", ("HOSTED_VLLM_API_BASE",)),
        ("perplexity", ("PERPLEXITY_API_BASE",)),
        ("together_ai", ("TOGETHER_AI_API_BASE",)),
        ("huggingface", ("HF_API_BASE", "HUGGINGFACE_API_BASE")),
        ("friendliai", ("FRIENDLI_API_BASE",)),
        ("scaleway", ()),
        ("custom_openai", ()),
        ("azure", ("AZURE_API_BASE", "AZURE_OPENAI_ENDPOINT")),
    ],
)
def test_names_of_variables(name: str, variables: tuple[str, ...]) -> None:
    """The variables are those that LiteLLM reads: by its rule, or by name where it has another."""
    assert CATALOGUE[name].base_url_variables == variables


@pytest.mark.parametrize(
    ("name", "needs"),
    [
        ("hosted_vllm", "a URL in providers.hosted_vllm.base_url or HOSTED_VLLM_API_BASE"),
        ("custom_openai", "a URL in providers.custom_openai.base_url"),
        ("cloudflare", "providers.cloudflare.account_id or CLOUDFLARE_ACCOUNT_ID"),
        ("snowflake", "providers.snowflake.account_id or SNOWFLAKE_ACCOUNT_ID"),
        ("azure", "a URL in providers.azure.base_url or AZURE_API_BASE or AZURE_OPENAI_ENDPOINT"),
    ],
)
async def test_what_is_missing(name: str, needs: str, tmp_path: Path) -> None:
    """A provider without what it needs says what to set, and where."""
    with pytest.raises(CallError) as caught:
        await request_of(tmp_path, name, ask())

    assert caught.value.reason is Reason.PROVIDER_UNKNOWN
    assert caught.value.message.endswith(f"expected {needs}")


@pytest.mark.parametrize(
    "value",
    [
        *("api.groq.com/v1", "http://", "https:///v1", "https://a b", "https://a:b/v1"),
        *("https://user:word@a/v1", "https://a/v1?key=word", "https://a/v1#part"),
    ],
)
async def test_variable_that_is_no_url(value: str, tmp_path: Path) -> None:
    """A variable with something else in it is told by its name, and not by what is in it."""
    environ = {"GROQ_API_KEY": "key-of-groq", "GROQ_API_BASE": value}

    with pytest.raises(CallError) as caught:
        await request_of(tmp_path, "groq", ask(), environ=environ)

    assert caught.value.reason is Reason.PROVIDER_UNKNOWN
    assert caught.value.message.endswith("a URL in providers.groq.base_url or GROQ_API_BASE")
    assert value not in caught.value.message


@pytest.mark.parametrize(
    "value", ["elsewhere.invalid/a", "a?", "a#", "a@b", "a:1", "../b", " a", "a\n", "a" * 201]
)
@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("bedrock", "AWS_REGION_NAME"),
        ("vertex_ai", "VERTEXAI_LOCATION"),
        ("snowflake", "SNOWFLAKE_ACCOUNT_ID"),
        ("cloudflare", "CLOUDFLARE_ACCOUNT_ID"),
        ("azure", "AZURE_API_VERSION"),
    ],
)
async def test_variable_that_would_be_more_than_a_word(
    name: str, variable: str, value: str, tmp_path: Path
) -> None:
    """What a variable says of an account is a word of a URL, and never another host or path."""
    environ = {**environ_of(CATALOGUE[name]), variable: value}

    with pytest.raises(CallError) as caught:
        await request_of(tmp_path, name, ask(), environ=environ)

    assert caught.value.reason is Reason.PROVIDER_UNKNOWN
    assert variable in caught.value.message
    assert "letters, digits, dots and dashes" in caught.value.message


async def test_quirks_stay_at_home(tmp_path: Path) -> None:
    """Another URL is another server, and a slash at the end is none."""
    environ = environ_of(ROWS["mistral"])
    config = "providers: {{mistral: {{base_url: '{}'}}}}"
    bodies = [
        json.loads(
            (await request_of(tmp_path, "mistral", ask(), config=each, environ=environ)).body
        )
        for each in (
            config.format("https://api.mistral.ai/v1/"),
            config.format("https://gateway.invalid/v1"),
        )
    ]

    assert ["stream_options" in body for body in bodies] == [False, True]


async def test_key_in_headers_of_their_own(tmp_path: Path) -> None:
    """A provider that wants its key in another header gets it there, too."""
    sent = await request_of(tmp_path, "sarvam", ask(), environ={"SARVAM_API_KEY": "key-of-sarvam"})

    assert sent.headers == {
        "Authorization": "Bearer key-of-sarvam",
        "api-subscription-key": "key-of-sarvam",
    }


async def test_token_of_azure(tmp_path: Path) -> None:
    """A token stands in for the key, and a key comes before it."""
    environ = {"AZURE_API_BASE": "https://own.invalid", "AZURE_AD_TOKEN": "token-of-azure"}

    by_token = await request_of(tmp_path, "azure", ask(), environ=environ)
    by_key = await request_of(
        tmp_path, "azure", ask(), environ={**environ, "AZURE_API_KEY": "key-of-azure"}
    )

    assert by_token.headers == {"Authorization": "Bearer token-of-azure"}
    assert by_key.headers == {"api-key": "key-of-azure"}


async def test_azure_by_another_name(tmp_path: Path) -> None:
    """A second resource is a provider of one's own, which has its own token, or none."""
    config = """
providers:
  eu: {dialect: azure, base_url: 'https://eu.invalid', azure_ad_token: token-of-eu, api_version: v1}
  us: {dialect: azure, base_url: 'https://us.invalid'}
"""
    environ = {"AZURE_AD_TOKEN": "token-of-azure", "AZURE_API_KEY": "key-of-azure"}

    eu, us = [
        await request_of(tmp_path, name, ask(), config=config, environ=environ)
        for name in ("eu", "us")
    ]

    assert (eu.url, eu.headers) == (
        "https://eu.invalid/openai/v1/chat/completions",
        {"Authorization": "Bearer token-of-eu"},
    )
    assert us.headers == {}
