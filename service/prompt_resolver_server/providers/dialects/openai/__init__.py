"""OpenAI's chat completions dialect."""

from .dialect import OpenAIDialect

__all__ = ["OpenAIDialect"]
