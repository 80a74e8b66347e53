"""Answers in a form that a provider does not know: its model hands them to a tool.

The tool's arguments are the answer, whole and streamed, as if they had been its text. Where nobody
says which fields an answer has, or it is no object, it is the tool's one argument: a model leaves
an object empty whose fields have no names.
"""

from collections.abc import Callable, Collection, Hashable, Sequence

import msgspec
from msgspec.structs import replace

from ..domain.answers import (
    Answer,
    Delta,
    Emit,
    Finish,
    FinishReason,
    ModelRequest,
    TextDelta,
    ToolCallDelta,
)
from ..domain.errors import CallError, unsupported
from ..domain.json_codec import JsonError, JsonReader
from ..domain.parameters import JsonObject, ResponseFormat
from ..domain.prompts import Text, Tool, ToolChoice
from ..domain.values import Value
from .failures import Failures
from .provider import Provider, do_nothing
from .wrapping import Unwrapper, wrap_schema

_NAME = "final_answer"
_DESCRIPTION = "Takes the final answer, which has the form of the arguments. Call it once."
_FORM = "parameters.response_format"
_JSON = JsonReader(msgspec.Raw)
_CHOSEN: frozenset[FinishReason] = frozenset({"stop", "tool_calls"})
"""The ends that a model chooses itself, having said all that it had to."""
_ANY_OBJECT: JsonObject = {
    "type": "object",
    "additionalProperties": True,
    "description": "The JSON object that is the whole answer.",
}


class AnswerToolProvider:
    """A `Provider` that has the forms of answers that another one lacks.

    The model still calls its own tools; when it has called none, it has answered. Where the call
    demands a tool of its own, no text is due, and its form is left out and told. Arguments that are
    no JSON at an end that the model chose were cut on the way: that is UPSTREAM_PROTOCOL.
    """

    def __init__(self, provider: Provider, *, name: str, lacking: Collection[str]) -> None:
        self._provider = provider
        self._name = name
        self._lacking = lacking

    @property
    def identity(self) -> Hashable:
        """What it is; see `Provider.identity`."""
        return self._provider.identity

    @property
    def base_url(self) -> str:
        """Where it is; see `Provider.base_url`."""
        return self._provider.base_url

    @property
    def vendor_url(self) -> str:
        """Where its vendor is; see `Provider.vendor_url`."""
        return self._provider.vendor_url

    async def complete(
        self,
        request: ModelRequest,
        *,
        caller_key: str | None,
        begun: Callable[[], None] = do_nothing,
    ) -> Answer:
        """Return the whole answer; see `Provider.complete`."""
        offer = self._offer(request)
        if offer is None:
            return await self._provider.complete(request, caller_key=caller_key, begun=begun)
        try:
            answer = await self._provider.complete(
                offer.request, caller_key=caller_key, begun=begun
            )
        except CallError as error:
            raise _in_terms_of_the_form(error) from error
        read = _read_answer(answer, offer)
        if any(call.name == offer.tool for call in answer.message.tool_calls):
            self._check(read.message.text, read.finish, request, caller_key)
        return read

    async def stream(self, request: ModelRequest, emit: Emit, *, caller_key: str | None) -> Finish:
        """Emit the answer as it arrives; see `Provider.stream`."""
        offer = self._offer(request)
        if offer is None:
            return await self._provider.stream(request, emit, caller_key=caller_key)
        reader = _AnswerReader(offer)

        async def emit_read(deltas: Sequence[Delta]) -> None:
            if read := reader.read(deltas):
                await emit(read)

        try:
            finish = await self._provider.stream(offer.request, emit_read, caller_key=caller_key)
        except CallError as error:
            raise _in_terms_of_the_form(error) from error
        if rest := reader.end():
            await emit(rest)
        if reader.answered:
            self._check(reader.text, finish, request, caller_key)
        return _read_finish(finish, offer, answered=reader.answered, called=reader.called)

    def _check(
        self, text: str, finish: Finish, request: ModelRequest, caller_key: str | None
    ) -> None:
        """Raise for a text that should be whole, and is no JSON."""
        try:
            if finish.reason in _CHOSEN:
                _JSON.read(text.encode())
        except JsonError as error:
            failures = Failures(
                provider=self._name, model=request.model, with_caller_key=caller_key is not None
            )
            raise failures.of_protocol(str(error)) from error

    def _offer(self, request: ModelRequest) -> "_Offer | None":
        """Return the request with the tool, or None where the provider knows the form itself."""
        form = request.parameters.response_format
        return _make_offer(request, form) if form and form.type in self._lacking else None


class _Offer(Value, frozen=True, kw_only=True):
    """A request that offers the tool of this name, or none, and what is left out of it.

    `wrapped` tells that the answer is the tool's one argument, and not its arguments.
    """

    request: ModelRequest
    tool: str | None
    wrapped: bool = False
    dropped: tuple[str, ...] = ()


def _make_offer(request: ModelRequest, form: ResponseFormat) -> _Offer:
    request = replace(request, parameters=replace(request.parameters, response_format=None))
    choice = request.tool_choice
    if choice is not None and choice.mode not in ("auto", "none"):
        return _Offer(request=request, tool=None, dropped=("response_format",))
    name = _NAME
    while any(tool.name == name for tool in request.tools):
        name += "_"
    may_call = bool(request.tools) and (choice is None or choice.mode == "auto")
    insisted = request.insisted
    if "response_format" in insisted:
        insisted = insisted - {"response_format"} | {"tool_choice"}
    wrapped = form.json_schema is None or not _is_of_objects(form.json_schema.schema)
    offered = replace(
        request,
        tools=(*request.tools, _tool(name, form, wrapped=wrapped)),
        tool_choice=ToolChoice(mode="required") if may_call else ToolChoice(tool_name=name),
        insisted=insisted,
    )
    return _Offer(request=offered, tool=name, wrapped=wrapped)


def _is_of_objects(schema: JsonObject) -> bool:
    """Tell whether all values of a schema are objects, as far as it says so at once."""
    return schema.get("type", "object" if "properties" in schema else "") == "object"


def _tool(name: str, form: ResponseFormat, *, wrapped: bool) -> Tool:
    schema = form.json_schema.schema if form.json_schema is not None else _ANY_OBJECT
    return Tool(
        name=name,
        description=_DESCRIPTION,
        parameters=wrap_schema(schema) if wrapped else {**schema, "type": "object"},
        strict=form.json_schema.strict if form.json_schema is not None else None,
    )


class _AnswerReader:
    """Reads the calls of one tool as text, and leaves all others as they are.

    Text is held back until the end, when it is known whether the model has answered beside it: the
    answer is the tool's first call alone.
    """

    def __init__(self, offer: _Offer) -> None:
        self._tool = offer.tool
        self._unwrapper = Unwrapper() if offer.wrapped else None
        self._held: list[Delta] = []
        self._answers: list[int] = []
        self._calls: dict[int, int] = {}
        self._told: list[str] = []

    @property
    def answered(self) -> bool:
        """Whether the tool was called."""
        return bool(self._answers)

    @property
    def called(self) -> bool:
        """Whether another tool was called."""
        return bool(self._calls)

    @property
    def text(self) -> str:
        """What the tool was handed, as far as it has been told."""
        return "".join(self._told)

    def read(self, deltas: Sequence[Delta]) -> list[Delta]:
        """Return what some deltas tell."""
        told = [self._read(delta) for delta in deltas]
        return [delta for delta in told if delta is not None]

    def end(self) -> list[Delta]:
        """Return what is left at the end of the answer."""
        if not self.answered:
            return self._held
        rest = self._unwrapper.end() if self._unwrapper is not None else ""
        delta = self._tell(rest or ("" if self._told else "{}"))
        return [delta] if delta is not None else []

    def _read(self, delta: Delta) -> Delta | None:
        match delta:
            case TextDelta() if self._tool is not None:
                self._held.append(delta)
                return None
            case ToolCallDelta():
                return self._read_call(delta)
            case _:
                return delta

    def _read_call(self, delta: ToolCallDelta) -> Delta | None:
        if delta.name == self._tool:
            self._answers.append(delta.index)
        if delta.index not in self._answers:
            number = self._calls.setdefault(delta.index, len(self._calls))
            return replace(delta, index=number)
        if delta.index != self._answers[0]:
            return None
        text = delta.arguments_json
        return self._tell(self._unwrapper.feed(text) if self._unwrapper is not None else text)

    def _tell(self, text: str) -> Delta | None:
        if not text:
            return None
        self._told.append(text)
        return TextDelta(text)


def _read_answer(answer: Answer, offer: _Offer) -> Answer:
    message = answer.message
    answers = [call for call in message.tool_calls if call.name == offer.tool]
    if answers:
        beside = tuple(part for part in message.content if not isinstance(part, Text))
        message = replace(
            message,
            content=(*beside, Text(_read_text(answers[0].arguments_json, offer))),
            tool_calls=tuple(call for call in message.tool_calls if call.name != offer.tool),
        )
    called = bool(message.tool_calls)
    finish = _read_finish(answer.finish, offer, answered=bool(answers), called=called)
    return replace(answer, message=message, finish=finish)


def _read_text(arguments: str, offer: _Offer) -> str:
    if offer.wrapped:
        unwrapper = Unwrapper()
        arguments = unwrapper.feed(arguments) + unwrapper.end()
    return arguments or "{}"


def _read_finish(finish: Finish, offer: _Offer, *, answered: bool, called: bool) -> Finish:
    ended = answered and not called and finish.reason == "tool_calls"
    return replace(
        finish,
        reason="stop" if ended else finish.reason,
        dropped=(*_dropped(finish.dropped, offer), *offer.dropped),
    )


def _dropped(names: tuple[str, ...], offer: _Offer) -> tuple[str, ...]:
    """Return what was left out in terms of the form, for which alone the tool is demanded."""
    if offer.tool is None:
        return names
    return tuple("response_format" if name == "tool_choice" else name for name in names)


def _in_terms_of_the_form(error: CallError) -> CallError:
    """Return the error for the form, where the provider lacks what makes a model keep to it."""
    if any(violation.field == "tool_choice" for violation in error.violations):
        return unsupported(
            _FORM, "expected text, as the provider can be held to no form beside the rest"
        )
    return error
