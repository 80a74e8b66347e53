"""What spans say, by the names of OpenTelemetry's conventions. Pure."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TypeAlias
from urllib.parse import urlsplit

from ..conventions import OPERATION, OPERATION_NAME, PROVIDER, PROVIDER_NAMES, REQUEST_MODEL
from ..domain.answers import Finish, ModelRequest
from ..domain.prompts import PromptRef, ServedTemplate

Attribute: TypeAlias = str | int | float | bool | Sequence[str]
Attributes: TypeAlias = dict[str, Attribute]

RESPONSE_ID = "gen_ai.response.id"
FINISH_REASONS = "gen_ai.response.finish_reasons"
FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
COST = "prompt_resolver.cost_usd"
LABEL = "prompt_resolver.label."

_PARAMETERS = (
    *("temperature", "top_p", "top_k", "max_tokens", "seed"),
    *("frequency_penalty", "presence_penalty"),
)


def describe_asked(prompt: PromptRef, alias: str | None) -> Attributes:
    """Return what a call asks for, as its caller names it."""
    named = {"prompt_resolver.prompt.id": prompt.id, "prompt_resolver.alias": alias}
    return {name: value for name, value in named.items() if value}


def describe_served(served: ServedTemplate) -> Attributes:
    """Return which template was served, and how."""
    return {
        **name_prompt(served),
        "prompt_resolver.prompt.id": served.template.id,
        "prompt_resolver.store": served.store,
        "prompt_resolver.cache": served.cache,
        "prompt_resolver.stale": served.stale,
    }


def name_prompt(served: ServedTemplate) -> Attributes:
    """Return a prompt's name and version, as its store has them."""
    template = served.template
    return {
        "gen_ai.prompt.name": template.name or template.id,
        "gen_ai.prompt.version": template.version,
    }


def describe_request(
    *,
    provider: str,
    base_url: str,
    request: ModelRequest,
    served: ServedTemplate | None,
    stream: bool,
) -> Attributes:
    """Return what a provider is asked, but nothing of what it is told."""
    parameters = request.parameters
    described: Attributes = {
        OPERATION_NAME: OPERATION,
        PROVIDER: PROVIDER_NAMES.get(provider, provider),
        REQUEST_MODEL: request.model,
        "gen_ai.request.stream": stream,
        **_locate(base_url),
    }
    for name in _PARAMETERS:
        value = getattr(parameters, name)
        if value is not None:
            described[f"gen_ai.request.{name}"] = value
    if (form := parameters.response_format) is not None:
        described["gen_ai.output.type"] = "text" if form.type == "text" else "json"
    if served is not None:
        described |= name_prompt(served)
    return described


def describe_answer(answer_id: str, finish: Finish) -> Attributes:
    """Return how a model answered, but nothing of what it said."""
    described: Attributes = {
        "gen_ai.response.model": finish.model,
        FINISH_REASONS: (finish.reason,),
    }
    if answer_id:
        described[RESPONSE_ID] = answer_id
    if (usage := finish.usage) is not None:
        for name, count in (
            ("input_tokens", usage.input_tokens),
            ("output_tokens", usage.output_tokens),
            ("cache_read.input_tokens", usage.cache_read_tokens),
            ("cache_write.input_tokens", usage.cache_write_tokens),
            ("reasoning.output_tokens", usage.reasoning_tokens),
        ):
            if count is not None:
                described[f"gen_ai.usage.{name}"] = count
    return described


@lru_cache(256)
def _locate(base_url: str) -> Mapping[str, Attribute]:
    """Return the host and the port of a URL, and nothing else of it."""
    parts = urlsplit(base_url)
    if parts.hostname is None:
        return {}
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return {"server.address": parts.hostname, "server.port": port}
