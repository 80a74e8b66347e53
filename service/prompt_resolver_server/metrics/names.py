"""What OpenTelemetry calls what we count. Pure.

The conventions have names for some of it, which are in the table; all else keeps ours, with dots
for the prefix. Of two names that a convention has at once it is the one that backends know.
"""

from collections.abc import Mapping

from ..conventions import (
    ERROR_TYPE,
    HTTP_ROUTE,
    HTTP_STATUS,
    OPERATION,
    OPERATION_NAME,
    PROVIDER,
    PROVIDER_NAMES,
    REQUEST_MODEL,
    RPC_METHOD,
    RPC_STATUS,
    RPC_SYSTEM,
)
from ..domain.values import Value

Attributes = Mapping[str, str | int]

_OURS = "prompt_resolver_"
_UNITS = {"_seconds": "s", "_bytes": "By", "_usd": "{USD}"}
_GRPC = {RPC_SYSTEM: "grpc"}
_CHAT = {OPERATION_NAME: OPERATION}


class Name(Value, frozen=True):
    """A metric's name and unit, and attributes that all of its points have.

    `is_convention` tells that the name is not ours. Values of one that `adds_up` are to be added,
    those of several instances too, although they fall as well as rise.
    """

    name: str
    unit: str
    attributes: Mapping[str, str] = {}
    is_convention: bool = True
    adds_up: bool = False


CONVENTIONS: Mapping[str, Name] = {
    "grpc_server_handling_seconds": Name("rpc.server.call.duration", "s", _GRPC),
    "prompt_resolver_upstream_request_duration_seconds": Name(
        "gen_ai.client.operation.duration", "s", _CHAT
    ),
    "prompt_resolver_upstream_time_to_first_chunk_seconds": Name(
        "gen_ai.client.operation.time_to_first_chunk", "s", _CHAT
    ),
    "process_cpu_seconds": Name("process.cpu.time", "s"),
    "process_resident_memory_bytes": Name("process.memory.usage", "By", adds_up=True),
    "process_open_fds": Name(
        "process.unix.file_descriptor.count", "{file_descriptor}", adds_up=True
    ),
}
"""The families that the conventions have a name for, by ours."""

_LABELS: Mapping[str, str] = {
    "provider": PROVIDER,
    "model": REQUEST_MODEL,
    "grpc_method": RPC_METHOD,
    "grpc_code": RPC_STATUS,
    "route": HTTP_ROUTE,
    "status": HTTP_STATUS,
}


def find_name(family: str) -> Name | None:
    """Return what a family is called, whose name goes without `_total`; None if it is not told."""
    if (name := CONVENTIONS.get(family)) is not None:
        return name
    if family.startswith("grpc_server_"):
        return Name(f"prompt_resolver.{family}", "1", _GRPC, is_convention=False)
    if not family.startswith(_OURS):
        return None
    own = family.removeprefix(_OURS)
    for suffix, unit in _UNITS.items():
        if own.endswith(suffix):
            own, of = own.removesuffix(suffix), unit
            return Name(f"prompt_resolver.{own}", of, is_convention=False)
    return Name(f"prompt_resolver.{own}", "1", is_convention=False)


def translate(name: Name, labels: Mapping[str, str]) -> Attributes:
    """Return the attributes of one series, by its labels."""
    attributes: dict[str, str | int] = {**name.attributes}
    for label, value in labels.items():
        match label:
            case "grpc_type" | "grpc_service":
                # The method's own name tells both.
                pass
            case "grpc_method":
                attributes[RPC_METHOD] = f"{labels['grpc_service']}/{value}"
            case "provider":
                attributes[PROVIDER] = PROVIDER_NAMES.get(value, value)
            case "status":
                attributes[HTTP_STATUS] = int(value) if value.isdecimal() else value
            case "outcome" if name.is_convention:
                if value != "ok":
                    attributes[ERROR_TYPE] = value
            case _:
                attributes[_LABELS.get(label, f"prompt_resolver.{label}")] = value
    return attributes
