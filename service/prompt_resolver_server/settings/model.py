"""The configuration, as it is once read: every key, its default and its meaning.

Our own blocks refuse keys that they do not know. LiteLLM's blocks take whatever LiteLLM takes, and
what has no meaning here is told when the service starts.
"""

import os
import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)

from ..parameters import Json, kind_of
from .address import parse_address
from .secrets import FileSecret, FixedSecret, Secret

PROVIDER_NAME = r"^[a-z0-9][a-z0-9_.-]*$"
_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"


class _Block(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, arbitrary_types_allowed=True
    )


def _read_secret(value: Json | Secret) -> Secret | None:
    if value is None or not isinstance(value, str | int | float | list | dict | bool):
        return value
    if not isinstance(value, str):
        raise ValueError(f"expected text, got {kind_of(value)}")
    if value.startswith("file:"):
        secret = FileSecret(Path(value.removeprefix("file:")))
        if secret.reveal() is None:
            raise ValueError("expected a readable file with a secret in it")
        return secret
    if not value or not value.isascii() or not value.isprintable():
        raise ValueError("expected printable ASCII, and not an empty text")
    return FixedSecret(value)


def _read_key(value: Json | Secret) -> Secret | None:
    """Read a secret that calls need and the service does not, so that its file may come later.

    The folder has to be there, as a volume is that waits for its Secret: any other path is a slip.
    """
    if isinstance(value, str) and value.startswith("file:"):
        path = value.removeprefix("file:")
        if not os.path.exists(path) and os.path.isdir(os.path.dirname(path) or os.curdir):
            return FileSecret(Path(path))
    return _read_secret(value)


_Secret = Annotated[Secret | None, BeforeValidator(_read_secret)]
_Key = Annotated[Secret | None, BeforeValidator(_read_key)]


def _check_url(value: str | None) -> str | None:
    if value is None:
        return None
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


_Url = Annotated[str | None, AfterValidator(_check_url)]
_Calls = Annotated[int, Field(ge=1, le=10_000)]
_Ttl = Annotated[float, Field(ge=0, le=86_400)]
_Seconds = Annotated[float, Field(gt=0, le=86_400)]


class ServerSettings(_Block):
    """The `server` block. Each key is also a variable, as `PROMPT_RESOLVER_GRPC_ADDRESS` is."""

    grpc_address: str = "127.0.0.1:50051"
    """Where the gRPC door listens: `HOST:PORT`, port 0 for a free one, or `unix:/path`."""
    http_address: str = "127.0.0.1:4000"
    """Where the OpenAI-compatible door listens; empty turns it off."""
    admin_address: str = "127.0.0.1:9090"
    """Where metrics, probes and the page are served over HTTP; empty turns it off."""
    admin_grpc_address: str = ""
    """Where `PromptResolverAdmin` listens; empty turns it off."""
    state_dir: Path | None = None
    """Where state outlives a restart. Not used by this version."""
    unix_socket_mode: Annotated[str, Field(pattern=r"^0?[0-7]{3}$")] = "0660"
    """Who may connect to a Unix socket: its mode, in octal digits and in quotes."""
    insecure: bool = False
    """Whether a data door may listen beyond loopback without anything that tells callers apart."""
    reflection: bool | None = None
    """Whether gRPC reflection is on; null: only where the door is on loopback or a Unix socket."""
    yielding_threads: bool = True
    """Whether gRPC's threads wait for the event loop rather than interrupt it. On, calls take less
    time and CPU; where other programs keep all processors busy, they take more time."""
    default_deadline_s: _Seconds = 120.0
    """The deadline of calls that bring none."""
    max_deadline_s: _Seconds = 900.0
    """The longest deadline that a call may have."""
    max_resolves: _Calls = 10_000
    """How many `Resolve` calls may run at once; more are refused with OVERLOADED."""
    max_completions: _Calls = 2_000
    """How many `Complete` calls may run at once."""
    max_streams: _Calls = 2_000
    """How many `CompleteStream` calls may run at once."""
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


class DirectorySettings(_Block):
    """A store that is a tree of `.prompt` files."""

    type: Literal["directory"]
    path: Path
    """The root of the tree. A relative path starts at the configuration file's folder."""
    ttl_s: _Ttl = 0
    """How long a file is served without looking at it again; 0: it is looked at with each call."""


class HumanloopSettings(_Block):
    """A store that is Humanloop's v5 API, or whatever speaks it."""

    type: Literal["humanloop"]
    base_url: _Url = None
    """Where it is, `/v5` included; unset: `HUMANLOOP_BASE_URL`, else Humanloop's own."""
    api_key: _Key = None
    """Its key: text, `os.environ/NAME` or `file:/path`; unset: `HUMANLOOP_API_KEY`."""
    ttl_s: _Ttl = 60.0
    """How long a prompt is served before the store is asked again; 0: it is asked each time."""
    timeout_s: _Seconds = 5.0
    """How long a prompt may take to be fetched, whatever requests that takes."""


StoreSettings = Annotated[DirectorySettings | HumanloopSettings, Field(discriminator="type")]


class CacheSettings(_Block):
    """How many templates are held, and how long a prompt is believed to be absent."""

    max_entries: Annotated[int, Field(ge=1)] = 10_000
    """How many templates are held; beyond, the one goes that was not used for the longest time."""
    max_bytes: Annotated[int, Field(ge=16 * 1024 * 1024)] = 64 * 1024 * 1024
    """About how much memory the held templates may take."""
    negative_ttl_s: _Ttl = 5.0
    """How long a prompt that a store does not have is not asked for again."""


class ProviderSettings(_Block):
    """A provider: one that is known, adjusted, or one of your own."""

    dialect: str | None = None
    """The wire format; required for a provider that is not known."""
    base_url: _Url = None
    """Where it is, as its vendor's SDK takes it: with `/v1` for OpenAI's dialect."""
    api_key: _Key = None
    """Its key: text, `os.environ/NAME` or `file:/path`."""
    stream_completions: bool = True
    """Whether `Complete` has the provider stream as well. On, a caller that leaves stops the model:
    most servers notice that only when they write. Off, an answer costs less to read."""
    connect_timeout_s: _Seconds = 5.0
    """How long to wait for a connection."""
    first_byte_timeout_s: _Seconds = 300.0
    """How long to wait for the beginning of an answer."""
    idle_timeout_s: _Seconds = 60.0
    """How long an answer may pause."""


ALIAS_KEYS_WITHOUT_EFFECT = frozenset(
    {
        *("drop_params", "max_retries", "num_retries", "order", "rpm", "stream_timeout", "tags"),
        *("timeout", "tpm", "weight"),
    }
)
"""What LiteLLM takes beside the parameters of the model, and this version does not act upon."""


class AliasParams(BaseModel):
    """LiteLLM's `litellm_params`: what is not named here is a parameter of the model."""

    model_config = ConfigDict(
        extra="allow", frozen=True, hide_input_in_errors=True, arbitrary_types_allowed=True
    )

    model: str
    """The model, in the notation `<store or provider>/…`."""
    prompt_id: str | None = None
    prompt_variables: dict[str, Json] = Field(default_factory=dict)
    prompt_label: str | None = None
    prompt_version: Annotated[
        str | None, BeforeValidator(lambda v: str(v) if type(v) is int else v)
    ] = None
    api_key: _Key = None
    """The key of the provider of `model`."""
    api_base: _Url = None
    """The base URL of the provider of `model`."""
    custom_llm_provider: str | None = None
    """Whose model it is, where the notation does not say."""
    prefer_template_model: bool = False
    """Whether the template's model wins over this one."""


class AliasSettings(_Block):
    """One row of LiteLLM's `model_list`."""

    model_name: Annotated[str, Field(min_length=1)]
    litellm_params: AliasParams
    model_info: dict[str, Json] = Field(default_factory=dict)
    """LiteLLM's notes on the model. Without effect here."""


class CallerSettings(_Block):
    """One of those who may call."""

    token: Annotated[Secret, BeforeValidator(_read_secret)]
    """The bearer token that lets it in: text, `os.environ/NAME` or `file:/path`."""


class GeneralSettings(BaseModel):
    """LiteLLM's `general_settings`."""

    model_config = ConfigDict(
        extra="allow", frozen=True, hide_input_in_errors=True, arbitrary_types_allowed=True
    )

    master_key: _Secret = None
    """The token that every call must bring, if it is set."""


class Settings(_Block):
    """A whole configuration."""

    server: ServerSettings = ServerSettings()
    stores: dict[Annotated[str, Field(pattern=_NAME)], StoreSettings] = Field(default_factory=dict)
    cache: CacheSettings = CacheSettings()
    default_store: str | None = None
    """The store of prompts that name none; unset: the first one."""
    model_list: tuple[AliasSettings, ...] = ()
    providers: dict[Annotated[str, Field(pattern=PROVIDER_NAME)], ProviderSettings] = Field(
        default_factory=dict
    )
    callers: dict[Annotated[str, Field(pattern=_NAME)], CallerSettings] = Field(
        default_factory=dict
    )
    """Those who may call, by name; with any, or with a master key, all calls need a token."""
    general_settings: GeneralSettings = GeneralSettings()
    litellm_settings: dict[str, Json] = Field(default_factory=dict)
    """LiteLLM's own. Without effect in this version."""
    router_settings: dict[str, Json] = Field(default_factory=dict)
    """LiteLLM's own. Without effect in this version."""
