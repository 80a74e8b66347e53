"""The dialects: one wire format each.

A new one is a module or a package here with a class that is a `Dialect`, and a line in `DIALECTS`.
"""

from collections.abc import Mapping

from ..dialect import Dialect
from .anthropic import AnthropicDialect
from .bedrock import BedrockDialect
from .gemini import GeminiDialect, VertexDialect
from .openai import OpenAIDialect

DIALECTS: Mapping[str, Dialect] = {
    "openai": OpenAIDialect(),
    "anthropic": AnthropicDialect(),
    "bedrock": BedrockDialect(),
    "gemini": GeminiDialect(),
    "vertex": VertexDialect(),
}

LACKING_FORMS: Mapping[str, frozenset[str]] = {
    "anthropic": frozenset({"json_object"}),
    "bedrock": frozenset({"json_object"}),
}
"""The forms of an answer that a dialect has no words for, which `Quirks.lacks_forms` adds to."""

__all__ = ["DIALECTS", "LACKING_FORMS", "Dialect"]
