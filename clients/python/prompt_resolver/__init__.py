"""The client of prompt-resolver: prompts by id, rendered or answered.

from prompt_resolver import PromptResolverClient

with PromptResolverClient("127.0.0.1:50051") as client:
prompt = client.resolve("support/reply", variables={"customer": "Ada"})
answer = client.complete("support/reply", variables={"customer": "Ada"})
"""

from ._version import __version__
from .client import AsyncPromptResolverClient, PromptResolverClient
from .errors import PromptResolverError
from .requests import CompleteOptions, ResolveOptions

__all__ = [
    "AsyncPromptResolverClient",
    "CompleteOptions",
    "PromptResolverClient",
    "PromptResolverError",
    "ResolveOptions",
    "__version__",
]
