"""The dialects: one wire format each.

A new one is a module or a package here with a class that is a `Dialect`, and a line in `DIALECTS`.
"""

from collections.abc import Mapping

from ..dialect import Dialect
from .anthropic import AnthropicDialect
from .bedrock import BedrockDialect
from .openai import OpenAIDialect

DIALECTS: Mapping[str, Dialect] = {
    "openai": OpenAIDialect(),
    "anthropic": AnthropicDialect(),
    "bedrock": BedrockDialect(),
}

__all__ = ["DIALECTS", "Dialect"]
