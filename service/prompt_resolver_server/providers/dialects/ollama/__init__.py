"""Ollama's chat dialect."""

from .dialect import OllamaDialect

__all__ = ["OllamaDialect"]
