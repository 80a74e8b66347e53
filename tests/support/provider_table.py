"""The table of the providers that are known, as `docs/providers.md` has it.

    python -m tests.support.provider_table

prints it.
"""

from collections.abc import Iterator

from prompt_resolver_server.providers.catalogue import CATALOGUE, CatalogueRow

RUN_BY_OTHERS = ("custom_openai", "hosted_vllm", "llamafile", "lm_studio", "openai_like")
"""The rows that a server answers that nobody here wrote; see `test_real_model.py`."""

PROOFS = {
    **dict.fromkeys(RUN_BY_OTHERS, "server: llama.cpp"),
    "anthropic": "client; server: llama.cpp, llmock, aimock",
    "azure": "client; server: aimock",
    "bedrock": "client; server: aimock",
    **dict.fromkeys(("cohere", "cohere_chat"), "client; server: llmock, aimock"),
    "gemini": "client; server: llmock, aimock",
    **dict.fromkeys(("ollama", "ollama_chat"), "client; server: aimock"),
    "openai": "client; server: llama.cpp, llmock, aimock",
    "vertex_ai": "client",
}
"""How a row was proven where it is by more than its dialect."""

_HEAD = (
    "| prefix | base URL | or that in | key in | differs | proven |",
    "|---|---|---|---|---|---|",
)


def write_table() -> str:
    """Return the table in Markdown."""
    return "\n".join((*_HEAD, *(_line(name, row) for name, row in sorted(CATALOGUE.items()))))


def _line(name: str, row: CatalogueRow) -> str:
    cells = (
        f"`{name}`",
        f"`{row.base_url}`" if row.base_url else "yours",
        ", ".join(_code(row.base_url_variables)),
        _key(row),
        "; ".join(_differences(row)),
        PROOFS.get(name, "wire"),
    )
    return f"| {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |")


def _key(row: CatalogueRow) -> str:
    names = ", ".join(_code(row.key_variables))
    return f"{names or 'none'}, if any" if row.key_optional else names


def _differences(row: CatalogueRow) -> Iterator[str]:
    if row.dialect != "openai":
        yield f"dialect `{row.dialect}`"
    quirks = row.quirks
    yield from (f"`{name}` is sent as `{other}`" for name, other in sorted(quirks.renames.items()))
    if lacking := sorted(quirks.lacks | quirks.lacks_forms):
        yield f"no {', '.join(_code(lacking))}"
    if quirks.one_text:
        yield "text alone"
    if quirks.model_prefix:
        yield f"`m` is `{quirks.model_prefix}m`"
    if quirks.key_headers:
        yield f"its key in {', '.join(_code(quirks.key_headers))}, too"
    for setting, variables in row.account_variables.items():
        yield f"`{setting}` in {', '.join(_code(variables))}"


def _code(words: tuple[str, ...] | list[str]) -> list[str]:
    return [f"`{word}`" for word in words]


if __name__ == "__main__":
    print(write_table())
