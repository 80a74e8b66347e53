"""Google's Gemini dialect, as AI Studio and Vertex AI speak it."""

from .dialect import GeminiDialect, VertexDialect

__all__ = ["GeminiDialect", "VertexDialect"]
