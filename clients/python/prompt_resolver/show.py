"""Prompts and answers for people, on a terminal."""

import json
import sys
from collections.abc import Iterable

from google.protobuf.json_format import MessageToDict, MessageToJson
from google.protobuf.message import Message

from .v1 import prompt_resolver_pb2 as pb


def print_json(response: Message) -> None:
    """Print a response whole, with the contract's names."""
    print(MessageToJson(response, preserving_proto_field_name=True))


def show_prompt(response: pb.ResolveResponse) -> None:
    """Print a rendered prompt: where it came from, what goes with it, and its messages."""
    if response.HasField("prompt"):
        print(_origin(response.prompt))
    print(f"model {response.provider}/{response.model}" if response.model else "no model")
    parameters = MessageToDict(response.parameters, preserving_proto_field_name=True)
    for name, value in parameters.items():
        print(f"{name} {value if isinstance(value, str) else _json(value)}")
    for tool in response.tools:
        print(f"tool {tool.name}: {tool.description}")
    for message in response.messages:
        print(f"\n[{_name(message.role)}]")
        for part in message.content:
            print(_part(part))
        for call in message.tool_calls:
            print(f"calls {call.name} {call.arguments_json}")


def show_stream(events: Iterable[pb.CompleteStreamResponse]) -> None:
    """Print an answer as it arrives, and about it, on standard error, once it is complete."""
    about = ""
    argument_of = -1
    for event in events:
        match event.WhichOneof("event"):
            case "started":
                about = _origin(event.started.prompt) if event.started.HasField("prompt") else ""
                about = f"{event.started.provider}/{event.started.model}  {about}"
            case "text_delta":
                _write(event.text_delta)
            case "refusal_delta":
                _write(event.refusal_delta)
            case "tool_call_delta":
                delta = event.tool_call_delta
                if delta.index != argument_of:
                    argument_of = delta.index
                    _write(f"\ncalls {delta.name} ")
                _write(delta.arguments_json_delta)
            case "finished":
                print()
                print(f"[{_finish(event.finished)}  {about}]", file=sys.stderr)


def _write(text: str) -> None:
    print(text, end="", flush=True)


def _origin(prompt: pb.PromptInfo) -> str:
    cache = _lower(pb.CacheResult.Name(prompt.cache), "CACHE_RESULT_")
    stale = f", not confirmed for {prompt.age.ToTimedelta()}" if prompt.stale else ""
    return f"prompt {prompt.id} version {prompt.version} from {prompt.store} ({cache}{stale})"


def _finish(finished: pb.Finished) -> str:
    reason = _lower(pb.FinishReason.Name(finished.finish_reason), "FINISH_REASON_")
    if not finished.HasField("usage"):
        return reason
    return f"{reason}, {finished.usage.input_tokens} + {finished.usage.output_tokens} tokens"


def _json(value: object) -> str:
    """Write a value as JSON, with whole numbers whole: a `Struct` has doubles alone."""

    def number(text: str) -> float:
        return int(float(text)) if float(text).is_integer() else float(text)

    whole: object = json.loads(json.dumps(value), parse_float=number)
    return json.dumps(whole, ensure_ascii=False)


def _part(part: pb.ContentPart) -> str:
    match part.WhichOneof("part"):
        case "text":
            return part.text
        case "refusal":
            return part.refusal
        case "reasoning":
            return part.reasoning.text
        case str() as kind:
            media: pb.Media = getattr(part, kind)
            return f"({kind} {media.url or f'{len(media.data)} bytes of {media.media_type}'})"
        case _:
            return "(a part that this version does not know)"


def _name(role: pb.Role.ValueType) -> str:
    return _lower(pb.Role.Name(role), "ROLE_")


def _lower(name: str, prefix: str) -> str:
    return name.removeprefix(prefix).lower()
