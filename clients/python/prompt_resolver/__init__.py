"""The client of prompt-resolver: prompts by id, rendered or answered.

    from prompt_resolver import PromptResolverClient

    with PromptResolverClient("127.0.0.1:50051") as client:
        prompt = client.resolve("extract/invoice", variables={"text": "Invoice 12"})
        answer = client.complete("extract/invoice", variables={"text": "Invoice 12"})

`AsyncPromptResolverClient` is the same for asyncio; `completion` speaks as LiteLLM does.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from ._version import __version__
from .lifetime import process as _process

set_verbose = False
"""Whether calls that `completion` makes in this process show what they send to providers.

They do it on standard error, with prompts and variables and without keys, as they do while
`PROMPT_RESOLVER_LOG` is `debug`.
"""

if TYPE_CHECKING:
    from .chat.records import ChatCompletion, ChatCompletionChunk
    from .chat.request import ChatOptions
    from .client import AsyncPromptResolverClient, PromptResolverClient
    from .completions import acompletion, completion
    from .connection import ConnectionOptions
    from .errors import ConfigurationError, PromptResolverError
    from .requests import CompleteOptions, ResolveOptions
    from .watching import WatchOptions
else:
    _MODULES = {
        "AsyncPromptResolverClient": "client",
        "ChatCompletion": "chat.records",
        "ChatCompletionChunk": "chat.records",
        "ChatOptions": "chat.request",
        "CompleteOptions": "requests",
        "ConfigurationError": "errors",
        "ConnectionOptions": "connection",
        "PromptResolverClient": "client",
        "PromptResolverError": "errors",
        "ResolveOptions": "requests",
        "WatchOptions": "watching",
        "acompletion": "completions",
        "completion": "completions",
    }

    def __getattr__(name: str) -> object:
        """Import what is asked for. A probe, which is run every few seconds, asks for nothing."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        with _process.importing():
            return getattr(import_module(f".{_MODULES[name]}", __name__), name)


__all__ = [
    "AsyncPromptResolverClient",
    "ChatCompletion",
    "ChatCompletionChunk",
    "ChatOptions",
    "CompleteOptions",
    "ConfigurationError",
    "ConnectionOptions",
    "PromptResolverClient",
    "PromptResolverError",
    "ResolveOptions",
    "WatchOptions",
    "__version__",
    "acompletion",
    "completion",
    "set_verbose",
]
