"""Requests as the tests of one dialect make them, and what the dialect makes of them."""

import json
from dataclasses import dataclass
from typing import Any

import pytest

from prompt_resolver_server.domain.answers import ModelRequest
from prompt_resolver_server.domain.errors import CallError, Reason
from prompt_resolver_server.domain.parameters import NO_PARAMETERS
from prompt_resolver_server.domain.prompts import Message, Part, Text
from prompt_resolver_server.providers.dialect import NO_QUIRKS, Dialect, Quirks, WireRequest

HI = Message(role="user", content=(Text("Hi"),))


def say(role: Any, *parts: Part, **fields: Any) -> Message:
    """Return a turn of these parts."""
    return Message(role=role, content=parts, **fields)


def ask(*messages: Message, **changes: Any) -> ModelRequest:
    """Return a request to the model `m`, in which a user says "Hi", unless told otherwise."""
    fields = {"model": "m", "parameters": NO_PARAMETERS, **changes}
    return ModelRequest(messages=messages or (HI,), **fields)


@dataclass(frozen=True)
class Requests:
    """What a dialect sends for the requests that `ask` makes."""

    dialect: Dialect

    def wire(
        self,
        *messages: Message,
        quirks: Quirks = NO_QUIRKS,
        stream: bool = False,
        **changes: Any,
    ) -> WireRequest:
        """Return what is sent."""
        return self.dialect.build(ask(*messages, **changes), stream=stream, quirks=quirks)

    def build(self, *messages: Message, **changes: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Return the body that is sent, and the names of what was dropped."""
        wire = self.wire(*messages, **changes)
        body = json.loads(wire.body)
        assert isinstance(body, dict)
        return body, wire.dropped

    def written(self, *messages: Message) -> list[dict[str, Any]]:
        """Return the messages as they are sent. Nothing of them may be dropped."""
        body, dropped = self.build(*messages)
        assert dropped == ()
        wire = body["messages"]
        assert isinstance(wire, list)
        return wire

    def refusal(self, *messages: Message, **changes: Any) -> CallError:
        """Return the error of a request that the dialect has no words for."""
        with pytest.raises(CallError) as caught:
            self.wire(*messages, **changes)
        assert caught.value.reason == Reason.PARAMETER_UNSUPPORTED
        return caught.value

    def refused(self, *messages: Message, **changes: Any) -> list[str]:
        """Return the fields that a refusal names."""
        return [violation.field for violation in self.refusal(*messages, **changes).violations]
