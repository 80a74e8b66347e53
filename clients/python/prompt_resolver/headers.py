"""What may be in a call's metadata: gRPC's own errors would tell the value, which may be a key."""

import re
from collections.abc import Iterable
from typing import TypeAlias

import grpc

from .errors import PromptResolverError

Metadata: TypeAlias = tuple[tuple[str, str | bytes], ...]

_NAME = re.compile(r"[a-z0-9_.-]+")


def is_printable(text: str) -> bool:
    """Tell whether a header can carry a text."""
    return text.isascii() and text.isprintable()


def read_headers(headers: Iterable[tuple[str, object]]) -> Metadata:
    """Return headers as gRPC takes them. Raises `PromptResolverError`, which names a bad one."""
    return tuple((_name(name), _value(name, value)) for name, value in headers)


def _name(name: str) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name.lower()):
        raise _illegal(f"expected a header's name of letters, digits and - _ ., got {name!r}")
    return name.lower()


def _value(name: str, value: object) -> str | bytes:
    if name.lower().endswith("-bin"):
        if isinstance(value, bytes):
            return value
        raise _illegal(f"{name.lower()}: expected bytes as the header's value")
    if not isinstance(value, str) or not is_printable(value):
        raise _illegal(f"{name.lower()}: expected printable ASCII as the header's value")
    return value


def _illegal(message: str) -> PromptResolverError:
    return PromptResolverError(grpc.StatusCode.INVALID_ARGUMENT, message)
