"""The dialects: one wire format each.

A new one is a module or a package here with a class that is a `Dialect`, and a line in `DIALECTS`.
"""

from collections.abc import Mapping

from ..dialect import Dialect
from .anthropic import AnthropicDialect
from .bedrock import BedrockDialect
from .gemini import GeminiDialect, VertexDialect
from .openai import AzureDialect, OpenAIDialect

DIALECTS: Mapping[str, Dialect] = {
    "openai": OpenAIDialect(),
    "anthropic": AnthropicDialect(),
    "bedrock": BedrockDialect(),
    "gemini": GeminiDialect(),
    "vertex": VertexDialect(),
    "azure": AzureDialect(),
}

__all__ = ["DIALECTS", "Dialect"]
