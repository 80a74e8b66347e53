"""The client of prompt-resolver: prompts by id, rendered or answered.

from prompt_resolver import PromptResolverClient

with PromptResolverClient("127.0.0.1:50051") as client:
prompt = client.resolve("support/reply", variables={"customer": "Ada"})
answer = client.complete("support/reply", variables={"customer": "Ada"})
"""

from importlib import import_module
from typing import TYPE_CHECKING

from ._version import __version__

if TYPE_CHECKING:
    from .client import AsyncPromptResolverClient, PromptResolverClient
    from .errors import PromptResolverError
    from .requests import CompleteOptions, ResolveOptions
else:
    _MODULES = {
        "AsyncPromptResolverClient": "client",
        "CompleteOptions": "requests",
        "PromptResolverClient": "client",
        "PromptResolverError": "errors",
        "ResolveOptions": "requests",
    }

    def __getattr__(name: str) -> object:
        """Import what is asked for. A probe, which is run every few seconds, asks for nothing."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f".{_MODULES[name]}", __name__), name)


__all__ = [
    "AsyncPromptResolverClient",
    "CompleteOptions",
    "PromptResolverClient",
    "PromptResolverError",
    "ResolveOptions",
    "__version__",
]
