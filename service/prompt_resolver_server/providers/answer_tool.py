"""Answers in a form that a provider does not know: its model hands them to a tool.

The tool's arguments are the answer, whole and streamed, as if they had been its text. Where nobody
says which fields an answer has, or it is no object, it is the tool's one argument: a model leaves
an object empty whose fields have no names.
"""

from collections.abc import Callable, Collection, Sequence

from msgspec.structs import replace

from ..answers import Answer, Delta, Emit, Finish, ModelRequest, TextDelta, ToolCallDelta
from ..errors import CallError, unsupported
from ..parameters import JsonObject, ResponseFormat
from ..prompts import Text, Tool, ToolChoice
from ..values import Value
from .provider import Provider, do_nothing
from .wrapping import Unwrapper, wrap_schema

_NAME = "final_answer"
_DESCRIPTION = "Takes the final answer, which has the form of the arguments. Call it once."
_FORM = "parameters.response_format"
_ANY_OBJECT: JsonObject = {
    "type": "object",
    "additionalProperties": True,
    "description": "The JSON object that is the whole answer.",
}


class AnswerToolProvider:
    """A `Provider` that has the forms of answers that another one lacks.

    The model still calls its own tools; when it has called none, it has answered. Where the call
    demands a tool of its own, no text is due, and its form is left out and told.
    """

    def __init__(self, provider: Provider, *, lacking: Collection[str]) -> None:
        self._provider = provider
        self._lacking = lacking

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
        return _read_answer(answer, offer)

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
        return _read_finish(finish, offer, answered=reader.answered, called=reader.called)

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
    wrapped = form.json_schema is None or form.json_schema.schema.get("type", "object") != "object"
    offered = replace(
        request,
        tools=(*request.tools, _tool(name, form, wrapped=wrapped)),
        tool_choice=ToolChoice(mode="required") if may_call else ToolChoice(tool_name=name),
        insisted=insisted,
    )
    return _Offer(request=offered, tool=name, wrapped=wrapped)


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

    Text is held back until it is known whether the model answers beside it: the answer is the
    tool's first call alone.
    """

    def __init__(self, offer: _Offer) -> None:
        self._tool = offer.tool
        self._unwrapper = Unwrapper() if offer.wrapped else None
        self._held: list[Delta] = []
        self._answers: list[int] = []
        self._calls: dict[int, int] = {}
        self._empty = True

    @property
    def answered(self) -> bool:
        """Whether the tool was called."""
        return bool(self._answers)

    @property
    def called(self) -> bool:
        """Whether another tool was called."""
        return bool(self._calls)

    def read(self, deltas: Sequence[Delta]) -> list[Delta]:
        """Return what some deltas tell."""
        return [told for delta in deltas for told in self._read(delta)]

    def end(self) -> list[Delta]:
        """Return what is left at the end of the answer."""
        if not self.answered:
            return self._release()
        rest = self._unwrapper.end() if self._unwrapper is not None else ""
        rest = rest or ("{}" if self._empty else "")
        return [TextDelta(rest)] if rest else []

    def _read(self, delta: Delta) -> list[Delta]:
        match delta:
            case TextDelta() if self.answered:
                return []
            case TextDelta() if not self.called:
                self._held.append(delta)
                return []
            case ToolCallDelta():
                return self._read_call(delta)
            case _:
                return [delta]

    def _read_call(self, delta: ToolCallDelta) -> list[Delta]:
        if delta.name == self._tool:
            self._answers.append(delta.index)
            self._held.clear()
        if delta.index not in self._answers:
            number = self._calls.setdefault(delta.index, len(self._calls))
            return [*self._release(), replace(delta, index=number)]
        if delta.index != self._answers[0]:
            return []
        text = delta.arguments_json
        if self._unwrapper is not None:
            text = self._unwrapper.feed(text)
        self._empty = self._empty and not text
        return [TextDelta(text)] if text else []

    def _release(self) -> list[Delta]:
        held, self._held = self._held, []
        return held


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
        dropped=(*finish.dropped, *offer.dropped),
    )


def _in_terms_of_the_form(error: CallError) -> CallError:
    """Return the error for the form, where the provider lacks what makes a model keep to it."""
    if any(violation.field == "tool_choice" for violation in error.violations):
        return unsupported(
            _FORM, "expected text, as the provider can be held to no form beside the rest"
        )
    return error
