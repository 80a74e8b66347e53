"""Providers: who answers.

A dialect (`openai.py`) is pure: it builds a request's body and parses what comes back. `remote.py`
joins a dialect, an endpoint and a transport into a provider; `echo.py` is a provider without a
network.

A new dialect is a module here with a class that is a `Dialect`, and a line in `DIALECTS`. A new
provider that speaks a known dialect is a line in `catalogue.py`.
"""

from collections.abc import Mapping

from .anthropic import AnthropicDialect
from .dialect import Dialect
from .openai import OpenAIDialect

DIALECTS: Mapping[str, Dialect] = {"openai": OpenAIDialect(), "anthropic": AnthropicDialect()}

__all__ = ["DIALECTS", "Dialect"]
