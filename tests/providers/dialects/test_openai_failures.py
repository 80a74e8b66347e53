"""OpenAI's dialect as servers differ in it: what they say of failures that have no codes."""

import json

import pytest

from prompt_resolver_server.domain.errors import Reason
from prompt_resolver_server.providers.dialect import NO_QUIRKS, InBandError
from prompt_resolver_server.providers.dialects.openai.dialect import OpenAIDialect

DIALECT = OpenAIDialect()

TOO_LONG = [
    "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens.",
    "This endpoint's maximum context length is 32768 tokens. However, you requested about 40000.",
    "Prompt contains 40000 tokens, too large for model with 32768 maximum context length",
    "The prompt is too long: 40177, model maximum context length: 32767",
    "The decoder prompt (length 8357) is longer than the maximum model length of 8192.",
    "The input (9000 tokens) is longer than the model's context length (8192 tokens).",
    "request (9000 tokens) exceeds the available context size (4096 tokens), try increasing it",
    "Requested tokens (9000) exceed context window of 512",
    "invalid params, context window exceeds limit",
    "Your input exceeds the context window of this model.",
    "The number of tokens to keep from the initial prompt is greater than the context length.",
    "Trying to keep the first 10136 tokens when context the overflows.",
    "Cannot truncate prompt with n_keep (15028) >= n_ctx (7424)",
    "This model's maximum prompt length is 131072 but the request contains 136973 tokens.",
    "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4097.",
    "Invalid request: Your request exceeded model token limit: 262144 (requested: 291351)",
    "Range of input length should be [1, 30720]",
    "Please reduce the length of the messages or completion.",
]
BLOCKED = [
    "Content Exists Risk",
    "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO",
    'm requires moderation on P. Your input was flagged for "violence".',
    "Invalid prompt: your prompt was flagged as potentially violating our usage policy.",
    "Your request was rejected as a result of our safety system.",
]
TOLD = [
    *((message, Reason.CONTEXT_LENGTH) for message in TOO_LONG),
    *((message, Reason.CONTENT_BLOCKED) for message in BLOCKED),
]


@pytest.mark.parametrize(("message", "reason"), TOLD)
def test_failures_without_codes(message: str, reason: Reason) -> None:
    """A prompt that is too long, or blocked, is told by what is said where no code tells it."""
    for document in (
        {"error": {"message": message, "type": "BadRequestError", "param": None, "code": 400}},
        {"error": {"message": message, "code": "invalid_request_error"}},
        {"object": "error", "message": message, "type": "BadRequestError", "code": 400},
        {"code": "Client specified an invalid argument", "error": message},
        {
            "error": {
                "message": "Provider returned error",
                "code": 400,
                "metadata": {"raw": json.dumps({"message": message}), "provider_name": "P"},
            }
        },
    ):
        assert DIALECT.classify(400, json.dumps(document).encode()) is reason


@pytest.mark.parametrize(
    "document",
    [
        {"error": {"message": "max_tokens must be at least 1", "code": 400}},
        {"object": "error", "message": "model is required", "code": 400},
        {"error": {"message": [TOO_LONG[0]], "metadata": {"raw": 1}}},
        {"error": {"message": None, "metadata": "raw"}},
        {"message": 1},
        {"detail": []},
    ],
)
def test_other_failures(document: object) -> None:
    """Whatever else is said gives no reason."""
    assert DIALECT.classify(400, json.dumps(document).encode()) is None


def test_code_before_words() -> None:
    """What a known code tells counts, whatever is said beside it."""
    error = {"message": TOO_LONG[0], "type": "tokens", "code": "rate_limit_exceeded"}

    reason = DIALECT.classify(429, json.dumps({"error": error}).encode())

    assert reason is Reason.UPSTREAM_RATE_LIMITED


@pytest.mark.parametrize("status", [401, 402, 404, 408, 429, 502, 503, 529])
def test_status_before_words(status: int) -> None:
    """Words do not outweigh a status that says what failed: they may speak of something else."""
    error = {"message": "Rate limit reached. Please reduce the length of the messages."}

    assert DIALECT.classify(status, json.dumps({"error": error}).encode()) is None
    assert DIALECT.classify(status, json.dumps({"error": TOO_LONG[0]}).encode()) is None


@pytest.mark.parametrize("status", [400, 403, 413, 422, 500])
def test_words_before_a_vague_status(status: int) -> None:
    """What is said counts where the status leaves it open what failed."""
    body = json.dumps({"error": {"message": TOO_LONG[0]}}).encode()

    assert DIALECT.classify(status, body) is Reason.CONTEXT_LENGTH


def test_failure_inside() -> None:
    """A failure in place of an answer is told by what is said, too, streamed and whole."""
    document = json.dumps({"error": {"message": TOO_LONG[0], "code": 400}}).encode()

    reader = DIALECT.read_stream(NO_QUIRKS)

    reader.feed(b"data: " + document + b"\n\n")
    with pytest.raises(InBandError) as whole:
        DIALECT.parse(document)

    assert isinstance(reader.failure, InBandError)
    assert (reader.failure.reason, whole.value.reason) == (Reason.CONTEXT_LENGTH,) * 2
