"""Google's Gemini dialect for the contract suites, and Vertex AI's way to speak it."""

from dataclasses import replace

from prompt_resolver_server.providers.dialects.gemini import GeminiDialect, VertexDialect
from tests.support.dialects.subject import Subject, record
from tests.support.gemini import (
    BARE_CALL,
    CALL,
    SIGNED_TEXT,
    THOUGHT,
    USAGE,
    chunk,
    error_of,
    frame,
    gemini_answer,
    gemini_stream,
    gemini_texts,
    is_stream,
)
from tests.support.upstream import Exchange


def _said(exchange: Exchange) -> str:
    contents = exchange.json["contents"]
    assert isinstance(contents, list)
    return str(contents[-1]["parts"][0]["text"])


GEMINI = Subject(
    name="gemini",
    shares=("logprobs", "service_tier", "store"),
    dialect=GeminiDialect(),
    said=_said,
    whole=lambda text: gemini_answer({"text": text}),
    streamed=lambda pieces: gemini_texts(*pieces),
    in_band_error=frame(error_of("UNAVAILABLE", "The model is overloaded.", code=503)),
    recordings=(
        record("text", gemini_texts("Hel", "lo")),
        record("everything", gemini_stream(THOUGHT, SIGNED_TEXT, CALL, BARE_CALL)),
        record(
            "usage apart",
            [frame(chunk({"text": "Hello"}, finish="STOP", usageMetadata=None))],
            rest=[frame({"usageMetadata": USAGE, "responseId": "resp_1"})],
        ),
    ),
    is_stream=is_stream,
    says_nothing=False,
    usage=(10, 7),
)

VERTEX = replace(
    GEMINI,
    name="vertex",
    dialect=VertexDialect(),
    shares=("logprobs", "service_tier"),
    recordings=GEMINI.recordings[:1],
)
