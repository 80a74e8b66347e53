"""The list of what OpenAI's own API has, beside what has a field of ours."""

from openai.types.chat.completion_create_params import CompletionCreateParamsBase

from prompt_resolver_server.domain.parameters import refusal
from prompt_resolver_server.providers.wire.openais_own import OPENAIS_OWN


def test_list() -> None:
    """It has all that OpenAI's client sends and the doors let in, and nothing else."""
    sent = CompletionCreateParamsBase.__annotations__

    assert {name for name in sent if refusal(name) is None} == OPENAIS_OWN
