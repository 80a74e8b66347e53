"""The contract is what the design says, to the number."""

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from prompt_resolver.v1 import admin_pb2, error_reason_pb2, prompt_resolver_pb2

TYPES = {
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_DOUBLE: "double",
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_UINT64: "uint64",
}

# One line for each message: its fields as `name number [opt|rep] type`, oneofs as `oneof name`.
MESSAGES = {
    "PromptRef": "id 1 string; store 2 opt string; version 3 string; environment 4 string",
    "ResolveRequest": (
        "prompt 1 PromptRef; variables 2 Struct; model 3 opt string; messages 4 rep Message;"
        " parameters 5 ModelParameters; refresh 6 bool; alias 11 opt string;"
        " placeholders 12 rep PlaceholdersEntry; message_policy 13 MessagePolicy"
    ),
    "CompleteRequest": (
        "prompt 1 PromptRef; variables 2 Struct; model 3 opt string; messages 4 rep Message;"
        " parameters 5 ModelParameters; refresh 6 bool; tools 7 rep Tool; tool_choice 8 ToolChoice;"
        " metadata 9 rep MetadataEntry; include_resolved 10 bool; alias 11 opt string;"
        " placeholders 12 rep PlaceholdersEntry; message_policy 13 MessagePolicy"
    ),
    "CompleteStreamRequest": (
        "prompt 1 PromptRef; variables 2 Struct; model 3 opt string; messages 4 rep Message;"
        " parameters 5 ModelParameters; refresh 6 bool; tools 7 rep Tool; tool_choice 8 ToolChoice;"
        " metadata 9 rep MetadataEntry; include_resolved 10 bool; alias 11 opt string;"
        " placeholders 12 rep PlaceholdersEntry; message_policy 13 MessagePolicy"
    ),
    "ResolveResponse": (
        "messages 1 rep Message; model 2 string; provider 3 string; parameters 4 ModelParameters;"
        " tools 5 rep Tool; tool_choice 6 ToolChoice; prompt 7 PromptInfo"
    ),
    "PromptInfo": (
        "id 1 string; name 2 string; store 3 string; version 4 string; environment 5 string;"
        " content_sha256 6 string; cache 7 CacheResult; age 8 Duration; stale 9 bool;"
        " reason 10 string"
    ),
    "MessageList": "messages 1 rep Message",
    "Message": (
        "role 1 Role; content 2 rep ContentPart; name 3 opt string; tool_calls 4 rep ToolCall;"
        " tool_call_id 5 opt string"
    ),
    "ContentPart": (
        "text 1 string; image 2 Media; audio 3 Media; file 4 Media; reasoning 5 Reasoning;"
        " refusal 6 string"
    ),
    "Reasoning": "text 1 string; signature 2 opt bytes; redacted 3 opt bytes",
    "Media": (
        "url 1 string; data 2 bytes; media_type 3 string; detail 4 opt string;"
        " filename 5 opt string"
    ),
    "ToolCall": "id 1 string; name 2 string; arguments_json 3 string; signature 4 opt bytes",
    "Tool": "name 1 string; description 2 string; parameters 3 Struct; strict 4 opt bool",
    "ToolChoice": "mode 1 Mode; tool_name 2 string",
    "ModelParameters": (
        "temperature 1 opt double; top_p 2 opt double; max_tokens 3 opt int32; stop 4 rep string;"
        " presence_penalty 5 opt double; frequency_penalty 6 opt double; seed 7 opt int64;"
        " reasoning_effort 8 opt string; response_format 9 ResponseFormat; top_k 10 opt int32;"
        " parallel_tool_calls 11 opt bool; extra 15 Struct"
    ),
    "ResponseFormat": "type 1 Type; json_schema 2 JsonSchema",
    "ResponseFormat.JsonSchema": "name 1 string; schema 2 Struct; strict 3 opt bool",
    "CompleteResponse": (
        "id 1 string; message 2 Message; finish_reason 3 FinishReason; usage 4 Usage;"
        " model 5 string; provider 6 string; prompt 7 PromptInfo; resolved 8 ResolveResponse;"
        " attempts 9 rep Attempt; upstream_duration 10 Duration; cost 11 Cost;"
        " dropped_parameters 12 rep string; raw_finish_reason 13 string"
    ),
    "Attempt": "provider 1 string; model 2 string; outcome 3 string; duration 4 Duration",
    "Cost": "usd 1 double; source 2 string",
    "Usage": (
        "input_tokens 1 opt int64; output_tokens 2 opt int64; cache_read_tokens 3 opt int64;"
        " cache_write_tokens 4 opt int64; reasoning_tokens 5 opt int64"
    ),
    "CompleteStreamResponse": (
        "started 1 Started; text_delta 2 string; reasoning_delta 3 Reasoning;"
        " tool_call_delta 4 ToolCallDelta; refusal_delta 5 string; finished 6 Finished"
    ),
    "Started": (
        "id 1 string; model 2 string; provider 3 string; prompt 4 PromptInfo;"
        " resolved 5 ResolveResponse"
    ),
    "ToolCallDelta": (
        "index 1 int32; id 2 string; name 3 string; arguments_json_delta 4 string;"
        " signature 5 opt bytes"
    ),
    "Finished": (
        "finish_reason 1 FinishReason; usage 2 Usage; attempts 3 rep Attempt;"
        " upstream_duration 4 Duration; cost 5 Cost; model 6 string;"
        " dropped_parameters 7 rep string; raw_finish_reason 8 string"
    ),
    "WatchPromptsRequest": "prompts 1 rep PromptRef; after_revision 2 opt uint64",
    "WatchPromptsResponse": (
        "prompt 1 PromptInfo; change 2 Change; revision 3 uint64; ref 4 PromptRef"
    ),
}
ENUMS = {
    "Role": "SYSTEM DEVELOPER USER ASSISTANT TOOL",
    "MessagePolicy": "APPEND WITHOUT_USER_TURN IGNORE",
    "CacheResult": "HIT MISS STALE FALLBACK BYPASS",
    "FinishReason": "STOP LENGTH TOOL_CALLS CONTENT_FILTER REFUSAL OTHER",
    "Change": "SNAPSHOT UPDATED REMOVED STORE_STALE STORE_READY",
    "ToolChoice.Mode": "AUTO NONE REQUIRED",
    "ResponseFormat.Type": "TEXT JSON_OBJECT JSON_SCHEMA",
}
ONEOFS = {
    "PromptRef": {"selector": ["version", "environment"]},
    "ContentPart": {"part": ["text", "image", "audio", "file", "reasoning", "refusal"]},
    "Media": {"source": ["url", "data"]},
    "ToolChoice": {"choice": ["mode", "tool_name"]},
    "CompleteStreamResponse": {
        "event": [
            *("started", "text_delta", "reasoning_delta", "tool_call_delta", "refusal_delta"),
            "finished",
        ]
    },
}
FILE = prompt_resolver_pb2.DESCRIPTOR


def find_message(name: str) -> Descriptor:
    outer, _, inner = name.partition(".")
    message = FILE.message_types_by_name[outer]
    return message.nested_types_by_name[inner] if inner else message


def describe(field: FieldDescriptor) -> str:
    kind = TYPES.get(field.type)
    if kind is None:
        named = field.message_type or field.enum_type
        assert named is not None
        kind = named.name
    own_oneof = field.containing_oneof
    optional = own_oneof is not None and own_oneof.name.startswith("_")
    label = "rep " if field.is_repeated else "opt " if optional else ""
    return f"{field.name} {field.number} {label}{kind}"


@pytest.mark.parametrize("name", MESSAGES)
def test_message(name: str) -> None:
    """Every message has the fields, numbers and types of the design."""
    assert "; ".join(describe(field) for field in find_message(name).fields) == MESSAGES[name]


@pytest.mark.parametrize("name", ENUMS)
def test_enum(name: str) -> None:
    """Every enum has the values of the design, counted from 1, prefixed with its name."""
    outer, _, inner = name.partition(".")
    if inner:
        enum, prefix = find_message(outer).enum_types_by_name[inner], inner.upper()
    else:
        enum = FILE.enum_types_by_name[outer]
        prefix = "".join(f"_{c}" if c.isupper() else c for c in outer).strip("_").upper()
    expected = ["UNSPECIFIED", *ENUMS[name].split()]

    assert [(value.name, value.number) for value in enum.values] == [
        (f"{prefix}_{value}", number) for number, value in enumerate(expected)
    ]


@pytest.mark.parametrize("name", ONEOFS)
def test_oneof(name: str) -> None:
    """What excludes each other is in one oneof."""
    oneofs = {
        oneof.name: [field.name for field in oneof.fields]
        for oneof in find_message(name).oneofs
        if not oneof.name.startswith("_")
    }

    assert oneofs == ONEOFS[name]


def test_nothing_else_is_there() -> None:
    """No message or enum is missing from the tables above."""
    messages = {*FILE.message_types_by_name, "ResponseFormat.JsonSchema"}

    assert messages == set(MESSAGES)
    assert set(FILE.enum_types_by_name) == {name for name in ENUMS if "." not in name}


def test_services() -> None:
    """The services have their methods, streaming where the design says so."""
    service = FILE.services_by_name["PromptResolver"]
    admin = admin_pb2.DESCRIPTOR.services_by_name["PromptResolverAdmin"]

    assert service.full_name == "prompt_resolver.v1.PromptResolver"
    assert [
        (each.name, each.input_type.name, each.output_type.name, each.server_streaming)
        for each in service.methods
    ] == [
        ("Resolve", "ResolveRequest", "ResolveResponse", False),
        ("Complete", "CompleteRequest", "CompleteResponse", False),
        ("CompleteStream", "CompleteStreamRequest", "CompleteStreamResponse", True),
        ("WatchPrompts", "WatchPromptsRequest", "WatchPromptsResponse", True),
    ]
    assert service.methods_by_name["Resolve"].GetOptions().idempotency_level == 1
    assert list(admin.methods_by_name) == [
        *("ListPrompts", "InvalidatePrompts", "PrefetchPrompts", "ExplainResolve")
    ]


def test_packages_for_other_languages() -> None:
    """Go and Java know where their code belongs, the same in every file."""
    files = (FILE, admin_pb2.DESCRIPTOR, error_reason_pb2.DESCRIPTOR)

    assert len({file.GetOptions().go_package for file in files} - {""}) == 1
    assert len({file.GetOptions().java_package for file in files} - {""}) == 1
