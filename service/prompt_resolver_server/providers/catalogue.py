"""The providers that are known without being configured, as data.

Those that speak OpenAI's dialect and need no code are rows of `openai_compatible.json`.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import field
from msgspec.structs import replace

from ..domain.values import Value
from .dialect import NO_QUIRKS, Quirks


class CatalogueRow(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One provider: its dialect, where it is, and the variables that hold its key and its base URL.

    `base_url` may have names in braces, which are settings of the account; `account_variables` has
    the variables in which each of those is looked up. Without a `base_url` there is no provider
    until one is configured. `hosts` has those that do not follow the rule of `base_url`, by what
    the rule makes. `signer` is what lets requests in that have no key: one of `SIGNERS`.
    `quirks` hold at `base_url` alone, or where that is None: behind another URL stands another
    server.
    """

    dialect: str = "openai"
    base_url: str | None = None
    key_variables: tuple[str, ...] = ()
    key_optional: bool = False
    base_url_variables: tuple[str, ...] = ()
    account_variables: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    hosts: Mapping[str, str] = field(default_factory=dict)
    signer: str | None = None
    quirks: Quirks = NO_QUIRKS


def _read_openai_compatible() -> Mapping[str, CatalogueRow]:
    document = Path(__file__).with_name("openai_compatible.json").read_bytes()
    rows = msgspec.json.decode(document, type=dict[str, CatalogueRow])
    return {name: _with_base_url_variable(row) for name, row in rows.items()}


def _with_base_url_variable(row: CatalogueRow) -> CatalogueRow:
    """Return a row that names no variable of its base URL with the one that LiteLLM would read."""
    prefix, is_regular, _ = (*row.key_variables, "")[0].partition("_API_KEY")
    if row.base_url_variables or not is_regular:
        return row
    return replace(row, base_url_variables=(f"{prefix}_API_BASE",))


CATALOGUE: Mapping[str, CatalogueRow] = {
    **_read_openai_compatible(),
    "openai": CatalogueRow(
        dialect="openai",
        base_url="https://api.openai.com/v1",
        key_variables=("OPENAI_API_KEY",),
        base_url_variables=("OPENAI_BASE_URL", "OPENAI_API_BASE"),
        quirks=Quirks(
            renames={"max_tokens": "max_completion_tokens"},
            lacks=frozenset({"top_k"}),
            knows_developer=True,
            media_of_user_alone=True,
        ),
    ),
    "anthropic": CatalogueRow(
        dialect="anthropic",
        base_url="https://api.anthropic.com",
        key_variables=("ANTHROPIC_API_KEY",),
        base_url_variables=("ANTHROPIC_BASE_URL", "ANTHROPIC_API_BASE"),
    ),
    "bedrock": CatalogueRow(
        dialect="bedrock",
        base_url="https://bedrock-runtime.{aws_region_name}.amazonaws.com",
        key_variables=("AWS_BEARER_TOKEN_BEDROCK",),
        base_url_variables=("AWS_BEDROCK_RUNTIME_ENDPOINT", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME"),
        account_variables={
            "aws_region_name": ("AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION")
        },
        signer="aws",
    ),
    "gemini": CatalogueRow(
        dialect="gemini",
        base_url="https://generativelanguage.googleapis.com",
        key_variables=("GOOGLE_API_KEY", "GEMINI_API_KEY"),
        base_url_variables=("GEMINI_API_BASE", "GOOGLE_GEMINI_BASE_URL"),
    ),
    "vertex_ai": CatalogueRow(
        dialect="vertex",
        base_url=(
            "https://{vertex_location}-aiplatform.googleapis.com"
            "/v1beta1/projects/{vertex_project}/locations/{vertex_location}"
        ),
        hosts={
            "global-aiplatform.googleapis.com": "aiplatform.googleapis.com",
            "us-aiplatform.googleapis.com": "aiplatform.us.rep.googleapis.com",
            "eu-aiplatform.googleapis.com": "aiplatform.eu.rep.googleapis.com",
        },
        account_variables={
            "vertex_project": ("VERTEXAI_PROJECT", "VERTEX_PROJECT", "GOOGLE_CLOUD_PROJECT"),
            "vertex_location": ("VERTEXAI_LOCATION", "VERTEX_LOCATION", "GOOGLE_CLOUD_LOCATION"),
            "vertex_credentials": ("VERTEXAI_CREDENTIALS", "VERTEX_CREDENTIALS"),
        },
        signer="google",
    ),
    **dict.fromkeys(
        ("cohere", "cohere_chat"),
        CatalogueRow(
            dialect="cohere",
            base_url="https://api.cohere.com",
            key_variables=("COHERE_API_KEY", "CO_API_KEY"),
            base_url_variables=("COHERE_API_BASE", "CO_API_URL"),
        ),
    ),
    **dict.fromkeys(
        ("ollama", "ollama_chat"),
        CatalogueRow(
            dialect="ollama",
            base_url="http://localhost:11434",
            key_variables=("OLLAMA_API_KEY",),
            key_optional=True,
            base_url_variables=("OLLAMA_API_BASE",),
        ),
    ),
    "azure": CatalogueRow(
        dialect="azure",
        key_variables=("AZURE_OPENAI_API_KEY", "AZURE_API_KEY"),
        base_url_variables=("AZURE_API_BASE", "AZURE_OPENAI_ENDPOINT"),
        account_variables={
            "api_version": ("AZURE_API_VERSION",),
            "azure_ad_token": ("AZURE_AD_TOKEN",),
        },
        signer="azure",
        quirks=Quirks(lacks=frozenset({"top_k"}), knows_developer=True, media_of_user_alone=True),
    ),
}
