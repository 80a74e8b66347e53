"""Rendering: a template and variables become messages. Pure, and the only render path."""

from .renderer import Renderer

__all__ = ["Renderer"]
