"""The `server` block: where the service listens, whom it lets in, and how much it takes at once."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from .address import parse_address
from .fields import Block, Seconds

_OWNER = re.compile(r"[^:\s]+(:[^:\s]+)?|:[^:\s]+")
_Calls = Annotated[int, Field(ge=1, le=10_000)]


class ServerSettings(Block):
    """The `server` block. Each key is also a variable, as `PROMPT_RESOLVER_GRPC_ADDRESS` is."""

    grpc_address: str = "127.0.0.1:50051"
    """Where the gRPC door listens: `HOST:PORT`, port 0 for a free one, or `unix:/path`."""
    http_address: str = "127.0.0.1:4000"
    """Where the OpenAI-compatible door listens; empty turns it off."""
    admin_address: str = "127.0.0.1:9090"
    """Where metrics, probes and the page are served over HTTP; empty turns it off."""
    admin_grpc_address: str = ""
    """Where `PromptResolverAdmin` listens: `HOST:PORT` or `unix:/path`; empty turns it off."""
    state_dir: Path | None = None
    """A folder where copies of what remote stores served outlive a restart, and the salt that
    callers' keys of stores are hashed with; null: they are in memory alone. Instances may share
    it."""
    tls_cert_file: Path | None = None
    """The certificate of the data doors and the gRPC admin door, as PEM with what vouches for it;
    unset: they speak without TLS, as they always do on a Unix socket."""
    tls_key_file: Path | None = None
    """The key of that certificate, as PEM."""
    tls_client_ca_file: Path | None = None
    """Those who vouch for callers, as PEM: whoever has no certificate of theirs is not let in."""
    unix_socket_mode: Annotated[str, Field(pattern=r"^0?[0-7]{3}$")] = "0660"
    """Who may connect to a Unix socket: its mode, in octal digits and in quotes."""
    unix_socket_owner: str | None = None
    """Whose a Unix socket is: `USER`, `USER:GROUP` or `:GROUP`, as names or numbers; unset: of the
    user who runs the service."""
    insecure: bool = False
    """Whether a data door may listen beyond loopback without anything that tells callers apart."""
    reflection: bool | None = None
    """Whether gRPC reflection is on; null: only where the door is on loopback or a Unix socket."""
    yielding_threads: bool = True
    """Whether gRPC's threads wait for the event loop rather than interrupt it. On, calls take less
    time and CPU; where other programs keep all processors busy, they take more time."""
    default_deadline_s: Seconds = 120.0
    """The deadline of calls that bring none."""
    max_deadline_s: Seconds = 900.0
    """The longest deadline that a call may have."""
    max_resolves: _Calls = 10_000
    """How many `Resolve` calls may run at once; more are refused with OVERLOADED."""
    max_completions: _Calls = 2_000
    """How many `Complete` calls may run at once."""
    max_streams: _Calls = 2_000
    """How many `CompleteStream` calls may run at once."""
    max_watches: _Calls = 2_000
    """How many `WatchPrompts` calls may run at once."""
    max_connection_age_s: Seconds | None = None
    """How long a gRPC connection may be used before its client has to make another, give or take a
    tenth; null: for ever. Behind a name with several addresses it has clients find new ones. Calls
    that run go on, for as long as a call may take; only watches are ended, with UNAVAILABLE."""
    drain_s: Annotated[float, Field(ge=0, le=86_400)] = 25.0
    """How long running calls may take to end once the service is told to stop."""
    max_message_bytes: Annotated[int, Field(ge=1024, le=64 * 1024 * 1024)] = 4 * 1024 * 1024
    """The largest message that is received or sent over gRPC."""
    ca_file: Path | None = None
    """Certificates to trust for outgoing calls, in place of the system's."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """What is logged: this and whatever is worse."""

    @field_validator("grpc_address", "http_address", "admin_address", "admin_grpc_address")
    @classmethod
    def _is_address(cls, value: str, info: ValidationInfo) -> str:
        if value or info.field_name == "grpc_address":
            parse_address(value, unix=info.field_name in ("grpc_address", "admin_grpc_address"))
        return value

    @field_validator("unix_socket_owner")
    @classmethod
    def _is_owner(cls, value: str | None) -> str | None:
        if value is not None and not _OWNER.fullmatch(value):
            raise ValueError("expected USER, USER:GROUP or :GROUP")
        return value

    @model_validator(mode="after")
    def _has_whole_pair(self) -> Self:
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise ValueError("expected tls_cert_file and tls_key_file, got one of them")
        if self.tls_client_ca_file is not None and self.tls_cert_file is None:
            raise ValueError("expected tls_cert_file and tls_key_file beside tls_client_ca_file")
        return self
