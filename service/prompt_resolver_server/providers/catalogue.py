"""The providers that are known without being configured, as data."""

from collections.abc import Mapping
from dataclasses import dataclass

from .dialect import Quirks


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueRow:
    """One provider: its dialect, where it is, and the variables that hold its key and its base URL.

    `quirks` hold at `base_url` alone: behind another URL stands another server.
    """

    dialect: str
    base_url: str
    key_variables: tuple[str, ...]
    base_url_variables: tuple[str, ...] = ()
    quirks: Quirks = Quirks()


CATALOGUE: Mapping[str, CatalogueRow] = {
    "openai": CatalogueRow(
        dialect="openai",
        base_url="https://api.openai.com/v1",
        key_variables=("OPENAI_API_KEY",),
        base_url_variables=("OPENAI_BASE_URL", "OPENAI_API_BASE"),
        quirks=Quirks(max_tokens_field="max_completion_tokens", lacks=frozenset({"top_k"})),
    ),
    "anthropic": CatalogueRow(
        dialect="anthropic",
        base_url="https://api.anthropic.com",
        key_variables=("ANTHROPIC_API_KEY",),
        base_url_variables=("ANTHROPIC_BASE_URL", "ANTHROPIC_API_BASE"),
    ),
}
