"""Anthropic's Messages dialect."""

from .dialect import AnthropicDialect

__all__ = ["AnthropicDialect"]
