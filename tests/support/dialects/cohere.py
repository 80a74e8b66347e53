"""Cohere's dialect for the contract suites."""

from prompt_resolver_server.domain.errors import Reason
from prompt_resolver_server.providers.dialects.cohere import CohereDialect
from tests.support.cohere import (
    CALL,
    OTHER_CALL,
    TEXT,
    THINKING,
    cohere_answer,
    cohere_stream,
    cohere_texts,
    frame_delta,
    frame_end,
)
from tests.support.dialects.subject import Subject, record
from tests.support.upstream import Exchange


def _said(exchange: Exchange) -> str:
    messages = exchange.json["messages"]
    assert isinstance(messages, list)
    return str(messages[-1]["content"])


_CITATION = frame_delta("citation-start", 0, citations={"start": 0, "end": 2, "text": "He"})
_EVERYTHING = cohere_stream(
    THINKING, TEXT, calls=(CALL, OTHER_CALL), plan="I will look.", stop="TOOL_CALL"
)

COHERE = Subject(
    name="cohere",
    shares=("logprobs",),
    dialect=CohereDialect(),
    said=_said,
    whole=lambda text: cohere_answer({"type": "text", "text": text}),
    streamed=cohere_texts,
    in_band_error=frame_end("TIMEOUT"),
    in_band_reason=Reason.UPSTREAM_TIMEOUT,
    recordings=(
        record("text", cohere_texts(("Hel", "lo"))),
        record("everything", [*_EVERYTHING[:-1], _CITATION, _EVERYTHING[-1]]),
        record("terminated", cohere_texts(("Hel", "lo")), rest=[b"data: [DONE]\n\n"]),
    ),
    usage=(10, 7),
)
