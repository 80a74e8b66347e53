"""What a failed call raises."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from typing_extensions import override

from .details_pb2 import BadRequest, ErrorInfo, RetryInfo, Status

_DETAILS_KEY = "grpc-status-details-bin"


@dataclass(frozen=True)
class FieldViolation:
    """One field of a request, by its path, and what is wrong with it."""

    field: str
    description: str


class PromptResolverError(Exception):
    """A call that failed.

    `code` is the gRPC status. `reason` is a value of the contract's `ErrorReason` without its
    prefix, such as `VARIABLES_INVALID`, or `STREAM_INCOMPLETE`, which is this client's own; it is
    empty where the status comes from gRPC itself, as for a server that cannot be reached. `domain`
    is `prompt-resolver` where there is a reason. `metadata` holds the particulars that the contract
    documents for the reason, `violations` the fields that are at fault, and `retry_after_s` how
    long to wait before trying again.
    """

    def __init__(self, code: grpc.StatusCode, message: str, status: Status | None = None) -> None:
        self.code = code
        self.message = message
        self.reason = ""
        self.domain = ""
        self.metadata: Mapping[str, str] = {}
        self.violations: tuple[FieldViolation, ...] = ()
        self.retry_after_s: float | None = None
        if status is not None:
            self._read(status)
        super().__init__(f"{self.reason or code.name}: {message}")

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        # An exception is made anew of its text alone, and a pool of processes ends by one that
        # cannot be: this is one, with all that it tells.
        return _restore, (type(self), self.args), self.__dict__

    def _read(self, status: Status) -> None:
        for packed in status.details:
            # One that is garbled leaves the others as they are.
            with suppress(DecodeError):
                # `Any` names a message by its type, here the namesake's in `google.rpc`.
                self._read_detail(packed.type_url.rpartition("/")[2], packed.value)

    def _read_detail(self, name: str, data: bytes) -> None:
        match name:
            case "google.rpc.ErrorInfo":
                info = ErrorInfo.FromString(data)
                self.reason, self.domain = info.reason, info.domain
                self.metadata = dict(info.metadata)
            case "google.rpc.RetryInfo":
                retry = RetryInfo.FromString(data)
                self.retry_after_s = retry.retry_delay.ToTimedelta().total_seconds()
            case "google.rpc.BadRequest":
                request = BadRequest.FromString(data)
                self.violations = tuple(
                    FieldViolation(each.field, each.description)
                    for each in request.field_violations
                )


class ConfigurationError(PromptResolverError):
    """No call can be made here: what says where and how is missing or wrong, and has to change."""

    def __init__(self, message: str) -> None:
        super().__init__(grpc.StatusCode.FAILED_PRECONDITION, message)


class StreamIncompleteError(PromptResolverError):
    """A stream ended well but without `finished`: what came is a part of an answer, and none."""

    def __init__(self) -> None:
        super().__init__(grpc.StatusCode.INTERNAL, "the stream ended without `finished`")
        self.reason, self.domain = "STREAM_INCOMPLETE", "prompt-resolver"


def _restore(kind: type[PromptResolverError], args: tuple[object, ...]) -> PromptResolverError:
    """Return an error whose fields are still to be set."""
    return kind.__new__(kind, *args)


def from_rpc_error(error: grpc.RpcError) -> PromptResolverError:
    """Return what a gRPC error says, as our error."""
    if not isinstance(error, grpc.Call | grpc.aio.AioRpcError):
        return PromptResolverError(grpc.StatusCode.UNKNOWN, "the call failed")
    return from_status(error.code(), error.details() or "", error.trailing_metadata() or ())


def from_status(
    code: grpc.StatusCode, message: str, trailers: Iterable[tuple[str, str | bytes]]
) -> PromptResolverError:
    """Return a status and what came with it, as our error."""
    status = None
    for key, value in trailers:
        if key == _DETAILS_KEY and isinstance(value, bytes):
            try:
                status = Status.FromString(value)
            except DecodeError:
                continue
    return PromptResolverError(code, message, status)
