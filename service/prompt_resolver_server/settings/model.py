"""The configuration, as it is once read: every key, its default and its meaning.

Our own blocks refuse keys that they do not know. LiteLLM's blocks, which are in `litellm`, take
whatever LiteLLM takes, and what has no meaning here is told when the service starts.
"""

from functools import lru_cache
from typing import Annotated, Any, Self, Union

from pydantic import (
    BeforeValidator,
    Field,
    create_model,
    model_validator,
)

from .accounts import AccountSettings
from .fields import NAME, PROVIDER_NAME, Block, KeyText, RedisUrl, Seconds, Ttl, Url, read_secret
from .litellm import AliasSettings, GeneralSettings, LitellmSettings, RouterSettings
from .secrets import Secret
from .server import ServerSettings

Globs = tuple[Annotated[str, Field(min_length=1)], ...]


class AnyStoreSettings(Block):
    """What all stores have, chains of them included."""

    type: str
    """Which kind of store it is."""


class StoreSettings(AnyStoreSettings):
    """What stores have. The settings of each kind of them stand where the kind does."""

    ttl_s: Ttl = 60.0
    """How long a prompt is served before the store is asked again; 0: it is asked each time."""


class RedisSettings(Block):
    """What the replicas of a service share. Needs the extra `redis`."""

    url: RedisUrl
    """Where Redis or Valkey is: `redis://HOST:PORT/DB`, `rediss://` for TLS, or `unix:/path`. A
    user may stand before the host."""
    password: KeyText = None
    """The password: text, `os.environ/NAME` or `file:/path`; unset: none is asked for."""
    key_prefix: Annotated[str, Field(pattern=r"^[!-~]{1,100}$")] = "prompt-resolver:"
    """What all names there begin with, and the channel's. Replicas share where it is the same, and
    the name, the place and the key of a store are."""
    timeout_s: Annotated[float, Field(gt=0, le=5)] = 0.2
    """How long a call may wait for it at most, each time that it is asked."""
    keep_s: Annotated[int, Field(ge=60, le=30 * 86_400)] = 7 * 86_400
    """How long a template is kept there after its store confirmed it; the same in all replicas."""


class CacheSettings(Block):
    """What is held, what is shared, and how long a prompt is believed to be absent."""

    max_entries: Annotated[int, Field(ge=1)] = 10_000
    """How many templates are held; beyond, the one goes that was not used for the longest time."""
    max_bytes: Annotated[int, Field(ge=16 * 1024 * 1024)] = 64 * 1024 * 1024
    """About how much memory the held templates may take."""
    negative_ttl_s: Ttl = 5.0
    """How long a prompt that a store does not have is not asked for again."""
    redis: RedisSettings | None = None
    """A second level that replicas share; unset: there is none."""


class PrefetchSettings(Block):
    """A prompt that is fetched when the service starts."""

    id: Annotated[str, Field(min_length=1)]
    """Its id."""
    store: str | None = None
    """Where it is; unset: in the default store."""
    version: str | None = None
    """Which version of it; unset, without an environment: the one that is deployed."""
    environment: str | None = None
    """The environment whose version it is."""
    required: bool = True
    """Whether the service is not ready before it is there."""

    @model_validator(mode="after")
    def _has_one_selector(self) -> Self:
        if self.version is not None and self.environment is not None:
            raise ValueError("expected a version or an environment, got both")
        return self


def _read_prefetch(value: object) -> object:
    """Read a prompt's id alone as what is meant by it."""
    return {"id": value} if isinstance(value, str) else value


class RenderingSettings(Block):
    """What templates may take that compute, which are those in Jinja2 and Handlebars."""

    workers: Annotated[int, Field(ge=1, le=16)] = 2
    """How many processes render them. The first starts with the first such template."""
    time_limit_s: Annotated[float, Field(gt=0, le=10)] = 0.25
    """How long one may take to be rendered; then it is TEMPLATE_BUDGET."""


class ProviderSettings(Block, AccountSettings):
    """A provider: one that is known, adjusted, or one of your own."""

    dialect: str | None = None
    """The wire format; required for a provider that is not known."""
    base_url: Url = None
    """Where it is, as its vendor's SDK takes it: with `/v1` for OpenAI's dialect."""
    api_key: KeyText = None
    """Its key: text, `os.environ/NAME` or `file:/path`."""
    stream_completions: bool = True
    """Whether `Complete` has the provider stream as well. On, a caller that leaves stops the model:
    most servers notice that only when they write. Off, an answer costs less to read."""
    drop_unsupported: bool = False
    """Whether parameters and media that it lacks are left out, and told, whoever set them."""
    connect_timeout_s: Seconds = 5.0
    """How long to wait for a connection."""
    first_byte_timeout_s: Seconds = 300.0
    """How long to wait for the beginning of an answer."""
    idle_timeout_s: Seconds = 60.0
    """How long an answer may pause."""
    breaker: bool = True
    """Whether it is left alone for a moment while it fails again and again."""
    max_concurrency: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """How many calls it may have at once, in this process; unset: as many as there are."""
    max_queue_s: Annotated[float, Field(ge=0, le=60)] = 1.0
    """How long a call may wait to be one of them; then it goes on, or is refused."""


class TracingSettings(Block):
    """Where spans go. Needs the extra `otel`."""

    otlp_endpoint: Url = None
    """The collector, to whose `/v1/traces` spans are sent over HTTP; unset: as the variables
    `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` or `OTEL_EXPORTER_OTLP_ENDPOINT` say; else nothing is
    traced."""
    sample_ratio: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Which part of the calls that come without a trace of their own is traced."""


class MetricsSettings(Block):
    """Where metrics go, beside `/metrics`. Needs the extra `otel`."""

    otlp_endpoint: Url = None
    """The collector, to whose `/v1/metrics` they are sent over HTTP; unset: as the variables
    `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT` or `OTEL_EXPORTER_OTLP_ENDPOINT` say; else nowhere."""
    interval_s: Seconds = 60.0
    """How often."""


class CallerSettings(Block):
    """One of those who may call, and what it may use.

    The lists are of globs: the names that it may use, whether or not they are there. In a glob `*`
    stands for any characters, slashes included. Unset: all; an empty list: none.
    """

    token: Annotated[Secret | None, BeforeValidator(read_secret)] = None
    """The bearer token that lets it in: text, `os.environ/NAME` or `file:/path`."""
    certificate: Annotated[str, Field(min_length=1)] | None = None
    """A name in the certificate that lets it in: a URI, such as a SPIFFE ID, a DNS name, or the
    common name. Needs `server.tls_client_ca_file`."""
    prompts: Globs | None = None
    """The ids and paths of the prompts that it may name, with an alias or without."""
    stores: Globs | None = None
    """The stores whose prompts it may name; a chain by its own name."""
    aliases: Globs | None = None
    """The aliases that it may use. Each brings its own prompt, store and model."""
    models: Globs | None = None
    """The models that it may name in place of a prompt's or an alias' own."""

    @model_validator(mode="after")
    def _is_known_by_something(self) -> Self:
        if self.token is None and self.certificate is None:
            raise ValueError("expected a token, a certificate, or both")
        return self


class Settings(Block):
    """A whole configuration."""

    server: ServerSettings = ServerSettings()
    stores: dict[Annotated[str, Field(pattern=NAME)], AnyStoreSettings] = Field(
        default_factory=dict
    )
    """Where the prompts are, by name. Each kind of store has settings of its own."""
    cache: CacheSettings = CacheSettings()
    rendering: RenderingSettings = RenderingSettings()
    tracing: TracingSettings = TracingSettings()
    metrics: MetricsSettings = MetricsSettings()
    default_store: str | None = None
    """The store of prompts that name none; unset: the first one."""
    prefetch: tuple[Annotated[PrefetchSettings, BeforeValidator(_read_prefetch)], ...] = ()
    """The prompts that are fetched when the service starts: ids, or mappings."""
    model_list: tuple[AliasSettings, ...] = ()
    providers: dict[Annotated[str, Field(pattern=PROVIDER_NAME)], ProviderSettings] = Field(
        default_factory=dict
    )
    callers: dict[Annotated[str, Field(pattern=NAME)], CallerSettings] = Field(default_factory=dict)
    """Those who may call, by name; with any, or with a master key, whoever calls is one of them."""
    general_settings: GeneralSettings = GeneralSettings()
    litellm_settings: LitellmSettings = LitellmSettings()
    router_settings: RouterSettings = RouterSettings()


@lru_cache
def of_stores(kinds: tuple[type[AnyStoreSettings], ...]) -> type[Settings]:
    """Return the form of a configuration with stores of these kinds."""
    # The kinds are a table's, so the union is one that no type checker sees.
    store: Any = Annotated[Union[kinds], Field(discriminator="type")]  # noqa: UP007
    stores: Any = (
        dict[Annotated[str, Field(pattern=NAME)], store],
        Field(default_factory=dict),
    )
    return create_model("Settings", __base__=Settings, stores=stores)
