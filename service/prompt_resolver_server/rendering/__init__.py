"""Rendering: a template and variables become messages. Pure, and the only render path."""

from .renderer import Renderer
from .variables import find_variables

__all__ = ["Renderer", "find_variables"]
