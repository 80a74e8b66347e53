"""The Converse dialect of AWS Bedrock."""

from .dialect import BedrockDialect

__all__ = ["BedrockDialect"]
