"""A store as the contract suite needs it."""

import hashlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from prompt_resolver_server.templates.store import TemplateStore


@dataclass
class Subject:
    """A store with a prompt `team/hello` in it that says "one", and what can be done to it.

    `prompt_id` is the id that the store itself gives the prompt, and `unknown_version` could be one
    of its versions and is none. `lists` tells whether the store can tell what it has.
    """

    store: TemplateStore
    prompt_id: str
    say: Callable[[str], object]
    break_it: Callable[[], object]
    remove: Callable[[], object]
    unknown_version: str = "nope"
    lists: bool = True


def version_of(text: str) -> str:
    """Return the version that a text is where each text is one: itself, if it can be a name."""
    return text if text.isalnum() and len(text) < 20 else hashlib.sha256(text.encode()).hexdigest()


MakeSubject = Callable[[Path], AbstractAsyncContextManager[Subject]]
