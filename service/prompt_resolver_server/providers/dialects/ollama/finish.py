"""How answers end in Ollama's chat dialect, and what they used."""

from collections.abc import Mapping

from ....domain.answers import Finish, FinishReason, Usage
from ....domain.parameters import Json
from ...wire.fields import read_count

_FINISH_REASONS: Mapping[str, FinishReason] = {"stop": "stop", "length": "length"}


def read_finish(raw_reason: str, model: str, counts: Mapping[str, Json], *, called: bool) -> Finish:
    """Return how an answer ended, in which tools were called or not."""
    reason = _FINISH_REASONS.get(raw_reason, "other")
    return Finish(
        reason="tool_calls" if called and reason == "stop" else reason,
        raw_reason=raw_reason,
        model=model,
        usage=Usage(
            input_tokens=read_count(counts, "prompt_eval_count"),
            output_tokens=read_count(counts, "eval_count"),
        ),
    )
