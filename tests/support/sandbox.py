"""Jobs, done in this process."""

from collections.abc import Mapping
from typing import Any

from prompt_resolver_server.domain.parameters import Json
from prompt_resolver_server.sandbox.jobs import Jobs
from prompt_resolver_server.sandbox.protocol import (
    Done,
    Job,
    Language,
    Reply,
    Source,
    Text,
    encode,
    read_reply,
)


def answer(
    language: Language, *texts: str, variables: Mapping[str, Json] | None = None, **source: Any
) -> Reply:
    """Return the reply to the job of a template."""
    job = Job(encode(Source(language, texts, **source)), variables or {})
    return read_reply(Jobs().answer(encode(job)))


def conversation(reply: Reply) -> list[tuple[str, str]]:
    """Return the roles and texts of the turns that came of a job."""
    assert isinstance(reply, Done), reply
    return [
        (turn.role, "".join(part.text for part in turn.parts if isinstance(part, Text)))
        for turn in reply.turns
    ]
