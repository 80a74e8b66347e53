"""Cohere's chat dialect, version 2."""

from .dialect import CohereDialect

__all__ = ["CohereDialect"]
