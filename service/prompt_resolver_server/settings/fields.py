"""The kinds of values that settings are made of, and how each of them is checked."""

import os
import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
)

from ..domain.parameters import Json, kind_of
from .secrets import FileSecret, FixedSecret, Secret

PROVIDER_NAME = r"^[a-z0-9][a-z0-9_.-]*$"
ELSEWHERE = {"is_elsewhere": True}
"""The context of settings that are for another machine: see `Loaded.is_elsewhere`."""

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"


class Block(BaseModel):
    """A mapping that refuses keys that it does not know."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, arbitrary_types_allowed=True
    )


class ForeignBlock(BaseModel):
    """A mapping of LiteLLM's, which may hold whatever LiteLLM knows."""

    model_config = ConfigDict(
        extra="allow", frozen=True, hide_input_in_errors=True, arbitrary_types_allowed=True
    )


def read_secret(value: Json | Secret, info: ValidationInfo) -> Secret | None:
    """Read a secret: the text itself, or `file:` and a path. Raises `ValueError`."""
    if value is None or not isinstance(value, str | int | float | list | dict | bool):
        return value
    if not isinstance(value, str):
        raise ValueError(f"expected text, got {kind_of(value)}")
    if value.startswith("file:"):
        path = value.removeprefix("file:")
        secret = FileSecret(Path(path))
        may_be_missing = info.context == ELSEWHERE and not os.path.exists(path)
        if secret.reveal() is None and not may_be_missing:
            raise ValueError("expected a readable file with a secret in it")
        return secret
    if not value or not value.isascii() or not value.isprintable():
        raise ValueError("expected printable ASCII, and not an empty text")
    return FixedSecret(value)


def _read_key(value: Json | Secret, info: ValidationInfo) -> Secret | None:
    """Read a secret that calls need and the service does not, so that its file may come later.

    The folder has to be there, as a volume is that waits for its Secret: any other path is a slip.
    """
    if isinstance(value, str) and value.startswith("file:"):
        path = value.removeprefix("file:")
        if not os.path.exists(path) and os.path.isdir(os.path.dirname(path) or os.curdir):
            return FileSecret(Path(path))
    return read_secret(value, info)


KeyText = Annotated[Secret | None, BeforeValidator(_read_key)]


def check_url(value: str) -> str:
    """Return a URL that others may be made of. Raises `ValueError` for anything else."""
    try:
        parts = urlsplit(value)
        well_formed = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        well_formed = well_formed and not re.search(r"[\s\x00-\x1f\x7f]", value)
    except ValueError:
        well_formed = False
    if not well_formed:
        raise ValueError("expected a URL that begins with http:// or https://")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("expected a URL without a user, a query and a fragment")
    return value


def _check_redis_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        if parts.scheme == "unix":
            well_formed = parts.path.startswith("/") and not parts.netloc
        else:
            well_formed = parts.scheme in ("redis", "rediss") and bool(parts.hostname)
            well_formed = well_formed and parts.port != 0
            well_formed = well_formed and re.fullmatch(r"(/\d{0,5})?", parts.path) is not None
        well_formed = well_formed and not re.search(r"[\s\x00-\x1f\x7f]", value)
    except ValueError:
        well_formed = False
    if not well_formed:
        raise ValueError("expected redis://HOST:PORT/DB, rediss://HOST:PORT/DB or unix:/PATH")
    if parts.password is not None or parts.query or parts.fragment:
        raise ValueError(
            "expected a URL without a query, and without a password: `password` is for that"
        )
    return value


NeededUrl = Annotated[str, AfterValidator(check_url)]
Url = NeededUrl | None
RedisUrl = Annotated[str, AfterValidator(_check_redis_url)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Ttl = Annotated[float, Field(ge=0, le=86_400)]
