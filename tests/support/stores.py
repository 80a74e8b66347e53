"""A store that a test tells what to say."""

import asyncio
from dataclasses import dataclass, field

from prompt_resolver_server.domain.errors import Blame, Reason, StoreError
from prompt_resolver_server.domain.prompts import Message, PromptRef, Template, Text
from prompt_resolver_server.templates.store import prompt_not_found


def make_template(prompt_id: str, version: str, text: str = "Hello", size: int = 100) -> Template:
    return Template(
        id=prompt_id,
        name=prompt_id,
        version=version,
        content_sha256=version * 8,
        location=prompt_id,
        size=size,
        messages=(Message(role="user", content=(Text(text),)),),
        model="some-model",
        provider="fake",
    )


def unavailable() -> StoreError:
    return StoreError(
        Reason.STORE_UNAVAILABLE, "store 'told' does not answer", metadata={"store": "told"}
    )


def forbidden(blame: Blame = Blame.OPERATOR) -> StoreError:
    return StoreError(
        Reason.STORE_AUTH, "store 'told' refuses the key", metadata={"store": "told"}, blame=blame
    )


def absent(prompt_id: str = "p") -> StoreError:
    return prompt_not_found(PromptRef(id=prompt_id), store="told")


@dataclass
class ToldStore:
    """Says what `says` is: a template, or an error to raise. While `may` is not set, it is slow.

    `confirmed` is what it can confirm at once. `most_at_once` is how many fetches ran together.
    """

    says: Template | Exception
    may: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    confirmed: Template | None = None
    fetches: list[tuple[PromptRef, str | None]] = field(default_factory=list)
    running: int = 0
    most_at_once: int = 0
    closed: bool = False

    def __post_init__(self) -> None:
        self.may.set()

    async def fetch(
        self, ref: PromptRef, held: Template | None, *, caller_key: str | None = None
    ) -> Template:
        self.fetches.append((ref, caller_key))
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        self.asked.set()
        try:
            await self.may.wait()
        finally:
            self.running -= 1
        if isinstance(self.says, Exception):
            raise self.says
        return self.says

    def confirms(self, held: Template) -> bool:
        return held is self.confirmed

    async def aclose(self) -> None:
        self.closed = True


def no_jitter() -> float:
    """Draw what changes no time."""
    return 0.0


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now
