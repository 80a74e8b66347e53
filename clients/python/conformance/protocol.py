"""What the drivers read and write: one command per line, and one answer, both as JSON."""

import json
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any, TypeAlias

import grpc
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from prompt_resolver import PromptResolverError

Command: TypeAlias = dict[str, Any]
Answer: TypeAlias = dict[str, object]

UNKNOWN_METHOD = "/prompt_resolver.v1.PromptResolver/Nothing"
DONE: Answer = {"ok": True}
_MAX_ERRORS = 20
_OPTIONS = ("version", "environment", "store", "alias", "variables", "model")


def read_commands() -> Iterator[Command]:
    """Yield the commands of standard input, until it ends."""
    for line in sys.stdin:
        command: Command = json.loads(line)
        yield command


def write_answer(answer: Answer) -> None:
    """Write an answer to standard output."""
    print(json.dumps(answer), flush=True)


def client_options(command: Command) -> dict[str, Any]:
    """Return what `connect` says of a client beside the address."""
    options = {"token": command["token"], "token_file": command["token_file"]}
    return _without_nulls({**options, **(command["tls"] or {})})


def call_options(command: Command) -> dict[str, Any]:
    """Return what a command says of a call beside the prompt."""
    options = _without_nulls({name: command.get(name) for name in _OPTIONS})
    if (timeout_ms := command.get("timeout_ms")) is not None:
        options["timeout_s"] = timeout_ms / 1000
    if metadata := command.get("metadata"):
        options["credentials"] = metadata
    return options


def seconds(milliseconds: int | None) -> float | None:
    """Return a time in seconds."""
    return None if milliseconds is None else milliseconds / 1000


def succeeded(response: Message) -> Answer:
    """Return the answer for a response."""
    return {"ok": True, "response": MessageToDict(response)}


def failed(error: PromptResolverError) -> Answer:
    """Return the answer for a failed call."""
    return {"ok": False, "error": describe(error)}


def describe(error: PromptResolverError) -> Answer:
    """Return what an error says."""
    return {
        "code": error.code.name,
        "message": error.message,
        "reason": error.reason,
        "domain": error.domain,
        "metadata": dict(error.metadata),
        "violations": [
            {"field": each.field, "description": each.description} for each in error.violations
        ],
        "retry_after_ms": error.retry_after_s and round(error.retry_after_s * 1000),
    }


def left() -> PromptResolverError:
    """Return what a call ends in that its caller has left."""
    return PromptResolverError(grpc.StatusCode.CANCELLED, "the caller has left")


class Tally:
    """What became of the calls of `repeat`. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls = 0
        self._failed = 0
        self._slowest_s = 0.0
        self._versions: Counter[str] = Counter()
        self._errors: list[Answer] = []

    def count(self, outcome: str | PromptResolverError, took_s: float) -> None:
        """Note a call: the version that it got, or its error."""
        with self._lock:
            self._calls += 1
            self._slowest_s = max(self._slowest_s, took_s)
            if isinstance(outcome, str):
                self._versions[outcome] += 1
                return
            self._failed += 1
            if len(self._errors) < _MAX_ERRORS:
                self._errors.append(describe(outcome))

    def answer(self) -> Answer:
        """Return the answer to `stop`."""
        return {
            "ok": True,
            "calls": self._calls,
            "versions": dict(self._versions),
            "errors": self._errors,
            "failed": self._failed,
            "slowest_ms": self._slowest_s * 1000,
        }


def _without_nulls(options: Command) -> Command:
    return {name: value for name, value in options.items() if value is not None}
