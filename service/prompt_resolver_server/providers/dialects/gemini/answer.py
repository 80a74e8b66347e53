"""What the chunks of one answer tell in Google's Gemini dialect."""

from ....domain.answers import Delta, Finish, Opened, ReasoningDelta, TextDelta, ToolCallDelta
from ....domain.errors import Reason
from ....domain.json_codec import encode_json
from ....domain.parameters import Json
from ....domain.prompts import Reasoning
from ...dialect import InBandError, ProtocolError
from .chunk import Candidate, Chunk, FunctionCall, Part
from .finish import check_reason, read_finish


class AnswerReader:
    """Makes deltas of the chunks of one answer.

    A signature of a text, which has no place in ours, is reasoning that follows the text. Parts
    that only tools of the API's own bring are skipped.
    """

    def __init__(self) -> None:
        self._opened: Opened | None = None
        self._calls = 0
        self._raw_reason: str | None = None
        self._usage: dict[str, Json] = {}

    def take(self, chunk: Chunk, deltas: list[Delta]) -> None:
        """Add what a chunk tells. Raises `ProtocolError` and `InBandError`, after what came first.

        A prompt that is blocked is CONTENT_BLOCKED.
        """
        if chunk.usage_metadata is not None:
            self._usage |= chunk.usage_metadata
        if chunk.prompt_feedback is not None and chunk.prompt_feedback.block_reason:
            raise InBandError(Reason.CONTENT_BLOCKED)
        for candidate in chunk.candidates or ():
            if not candidate.index:
                if self._opened is None:
                    self._opened = Opened(
                        id=chunk.response_id or "", model=chunk.model_version or ""
                    )
                    deltas.append(self._opened)
                self._take_candidate(candidate, deltas)

    @property
    def finish(self) -> Finish | None:
        """How the answer ended, as far as it has come; None where no reason has been given."""
        if self._opened is None or self._raw_reason is None:
            return None
        return read_finish(
            self._raw_reason, self._opened.model, self._usage, called=bool(self._calls)
        )

    def _take_candidate(self, candidate: Candidate, deltas: list[Delta]) -> None:
        for part in (candidate.content.parts if candidate.content is not None else None) or ():
            deltas += self._read(part)
        if candidate.finish_reason:
            check_reason(candidate.finish_reason)
            self._raw_reason = candidate.finish_reason

    def _read(self, part: Part) -> list[Delta]:
        seal = part.thought_signature.encode() if part.thought_signature else None
        if part.function_call is not None:
            return [self._read_call(part.function_call, seal)]
        if part.inline_data is not None:
            raise ProtocolError("expected text, thoughts and calls of functions alone")
        text = part.text or ""
        if part.thought:
            return [ReasoningDelta(Reasoning(text=text, signature=seal))] if text or seal else []
        deltas: list[Delta] = [TextDelta(text)] if text else []
        if seal:
            deltas.append(ReasoningDelta(Reasoning(signature=seal)))
        return deltas

    def _read_call(self, call: FunctionCall, seal: bytes | None) -> Delta:
        if not call.name:
            raise ProtocolError("expected a call of a function with its name")
        index = self._calls
        self._calls += 1
        return ToolCallDelta(
            index=index,
            id=call.id or self._name_call(index),
            name=call.name,
            arguments_json=encode_json(call.args or {}).decode(),
            signature=seal,
        )

    def _name_call(self, index: int) -> str:
        """Return an id for a call that has none, empty where the answer has none either."""
        answer = self._opened.id if self._opened is not None else ""
        return f"call_{index}_{answer}" if answer else ""
