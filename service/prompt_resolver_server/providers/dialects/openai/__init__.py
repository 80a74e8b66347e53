"""OpenAI's chat completions dialect, as most speak it and as Azure does."""

from .azure import AzureDialect
from .dialect import OpenAIDialect

__all__ = ["AzureDialect", "OpenAIDialect"]
