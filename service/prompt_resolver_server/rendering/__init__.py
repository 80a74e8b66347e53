"""Rendering: a template and variables become messages. The only render path."""

from .placeholders import join
from .pool import WorkerPool
from .renderer import Rendered, Renderer
from .variables import find_variables

__all__ = ["Rendered", "Renderer", "WorkerPool", "find_variables", "join"]
