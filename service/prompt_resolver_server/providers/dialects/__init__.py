"""The dialects: one wire format each.

A new one is a module or a package here with a class that is a `Dialect`, and a line in `DIALECTS`.
What packages are made of is called the same in all of them: `request`, with its `messages` and its
`parameters`; `response` and `stream`, with how an answer may `finish`; and `failures`.
"""

from collections.abc import Mapping

from ..dialect import Dialect
from .anthropic import AnthropicDialect
from .bedrock import BedrockDialect
from .cohere import CohereDialect
from .gemini import GeminiDialect, VertexDialect
from .ollama import OllamaDialect
from .openai import AzureDialect, OpenAIDialect

DIALECTS: Mapping[str, Dialect] = {
    "openai": OpenAIDialect(),
    "anthropic": AnthropicDialect(),
    "bedrock": BedrockDialect(),
    "gemini": GeminiDialect(),
    "vertex": VertexDialect(),
    "cohere": CohereDialect(),
    "ollama": OllamaDialect(),
    "azure": AzureDialect(),
}

__all__ = ["DIALECTS", "Dialect"]
