"""Watching prompts: what may be asked for, and how to go on after the connection broke."""

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypedDict

import grpc

from .errors import PromptResolverError
from .requests import LONGEST_S, find_timeout
from .v1 import prompt_resolver_pb2 as pb

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
_MAX_DOUBLINGS = 6
_SNAPSHOT = "x-snapshot-revision"


class WatchOptions(TypedDict, total=False):
    """What may be said beside the prompts that are watched. None is the same as saying nothing."""

    store: str | None
    """The configured store of prompts that are named by their ids alone."""
    after_revision: int | None
    """The revision of the last event that was seen, to get what came after it."""
    on_snapshot: Callable[[int], object] | None
    """What is called as a snapshot begins, before its first event, and again where one comes anew:
    with the revision of which the first event, or one later, has it complete; 0: it is empty."""
    reconnect: bool | None
    """Whether to go on where the server is busy, or cannot be reached: by default, yes."""
    timeout_s: float | None
    """How long to watch, in seconds: unset, until the iterator is closed."""
    credentials: Mapping[str, str] | None
    """Keys of the caller's own: `{"x-prompt-store-key": …}`."""


class Resumption:
    """One watch over as many calls as it takes: where it is, and when to call again."""

    def __init__(self, prompts: Sequence[str | pb.PromptRef], options: WatchOptions) -> None:
        if unknown := options.keys() - WatchOptions.__annotations__.keys():
            names = ", ".join(WatchOptions.__annotations__)
            raise TypeError(f"unexpected option {min(unknown)!r}; expected some of {names}")
        store = options.get("store")
        self._prompts = [
            pb.PromptRef(id=each, store=store) if isinstance(each, str) else each
            for each in prompts
        ]
        self._revision = options.get("after_revision")
        self.reconnects = options.get("reconnect") is not False
        timed = options.get("timeout_s") is not None
        self.timeout_s = find_timeout(options, LONGEST_S) if timed else None
        self._ends_at = None if self.timeout_s is None else time.monotonic() + self.timeout_s
        self._failures = 0
        self._on_snapshot = options.get("on_snapshot")

    def request(self) -> pb.WatchPromptsRequest:
        """Return the request for what is still to come."""
        return pb.WatchPromptsRequest(prompts=self._prompts, after_revision=self._revision)

    def remaining_s(self) -> float | None:
        """Return how long the next call may take."""
        return None if self._ends_at is None else max(0.0, self._ends_at - time.monotonic())

    @property
    def wants_beginnings(self) -> bool:
        """Whether somebody wants to know of snapshots, which a call's first metadata tell of."""
        return self._on_snapshot is not None

    def begin(self, metadata: Iterable[tuple[str, str | bytes]]) -> None:
        """Take note of how a call began, which may be that it did not."""
        for name, value in metadata:
            if name == _SNAPSHOT and self._on_snapshot is not None:
                self._on_snapshot(int(value))

    def note(self, event: pb.WatchPromptsResponse) -> None:
        """Take note of an event that has come."""
        self._revision, self._failures = event.revision, 0

    def pause_s(self, error: PromptResolverError | None) -> float:
        """Return how long to wait before the next call. Raises the error where there is none.

        Without an error the server has ended the watch, which is to last.
        """
        error = error or PromptResolverError(grpc.StatusCode.UNAVAILABLE, "the server ended it")
        busy = error.code == grpc.StatusCode.RESOURCE_EXHAUSTED and error.reason == "OVERLOADED"
        if not self.reconnects or not (busy or error.code == grpc.StatusCode.UNAVAILABLE):
            raise error
        longest_s = min(_FIRST_PAUSE_S * 2.0**self._failures, _LONGEST_PAUSE_S)
        self._failures = min(self._failures + 1, _MAX_DOUBLINGS)
        # At a random time, so that not all whose server restarts come back at once.
        pause_s = max(error.retry_after_s or 0.0, random.uniform(0, longest_s))  # noqa: S311
        remaining_s = self.remaining_s()
        return pause_s if remaining_s is None else min(pause_s, remaining_s)
