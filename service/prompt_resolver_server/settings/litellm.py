"""LiteLLM's blocks: what of a `config.yaml` has a meaning here.

They take whatever LiteLLM takes. What is not named here has no effect, apart from `litellm_params`,
where it is a parameter of the model; `unused` tells which is which.
"""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, Field, ValidationInfo, model_validator

from ..domain.parameters import Json
from .accounts import AccountSettings
from .fields import ForeignBlock, KeyText, Seconds, Url, read_secret
from .secrets import Secret

_Retries = Annotated[int, Field(ge=0, le=100)]
_FallbackList = tuple[dict[str, tuple[str, ...]], ...]


_Name = Annotated[str, Field(min_length=1)]


class _NullableBlock(ForeignBlock):
    """A mapping in which null is as good as nothing, as LiteLLM takes it."""

    @model_validator(mode="before")
    @classmethod
    def _leave_out_nulls(cls, values: Json) -> Json:
        if not isinstance(values, dict):
            return values
        return {name: value for name, value in values.items() if value is not None}


class AliasParams(_NullableBlock, AccountSettings):
    """`litellm_params`: what is not named here is a parameter of the model."""

    model: _Name
    """The model, in the notation `<store or provider>/…`."""
    prompt_id: _Name | None = None
    prompt_variables: dict[str, Json] = Field(default_factory=dict)
    prompt_label: str | None = None
    """The environment whose version serves."""
    prompt_environment: str | None = None
    """The same, by our word for it."""
    prompt_version: Annotated[
        str | None, BeforeValidator(lambda v: str(v) if type(v) is int else v)
    ] = None
    api_key: KeyText = None
    """The key of the provider of `model`."""
    api_base: Url = None
    """The base URL of the provider of `model`."""
    custom_llm_provider: str | None = None
    """Whose model it is, where the notation does not say."""
    prefer_template_model: bool = False
    """Whether the template's model wins over this one."""
    weight: Annotated[float, Field(ge=0, le=1e9)] = 1.0
    """How often this row is chosen, beside the weights of the alias' other rows."""
    order: int = 0
    """Rows with a lower one are chosen first; the others serve while those fail."""
    num_retries: _Retries | None = None
    """How often a call is tried again; unset: `max_retries`, else what holds for all."""
    max_retries: _Retries | None = None
    timeout: Seconds | None = None
    """How long one attempt may take: to its end, or of a stream to its first event."""
    request_timeout: Seconds | None = None
    """The same; `timeout` wins."""
    stream_timeout: Seconds | None = None
    """How long a stream may take to its first event."""
    drop_params: bool | None = None
    """Whether parameters that the provider lacks are left out, and told, whoever set them."""

    @property
    def environment(self) -> str | None:
        """The environment whose version serves."""
        return self.prompt_environment if self.prompt_label is None else self.prompt_label


class AliasSettings(_NullableBlock):
    """One row of `model_list`. Rows with the same name take turns."""

    model_name: _Name
    litellm_params: AliasParams
    model_info: dict[str, Json] = Field(default_factory=dict)
    """LiteLLM's notes on the model. Without effect here."""


def _read_token(value: Json | Secret, info: ValidationInfo) -> Secret | None:
    """Read a token, which must not be empty: whoever named one believes the door to be locked."""
    if value is None:
        raise ValueError("expected text, got nothing")
    return read_secret(value, info)


class GeneralSettings(ForeignBlock):
    """`general_settings`."""

    master_key: Annotated[Secret | None, BeforeValidator(_read_token)] = None
    """The token that every call must bring; unset: the variable LITELLM_MASTER_KEY, if set."""


class _RoutingSettings(ForeignBlock):
    """What both `router_settings` and `litellm_settings` may say; the former wins."""

    num_retries: _Retries | None = None
    """How often a call is tried again, in all."""
    fallbacks: _FallbackList | None = None
    """For an alias, the aliases that answer in its place where its provider fails, in order."""
    default_fallbacks: tuple[str, ...] | None = None
    """The same for aliases that have no fallbacks of their own, and for calls without an alias."""
    context_window_fallbacks: _FallbackList | None = None
    """For an alias, those that answer where a prompt is longer than its model can read."""
    content_policy_fallbacks: _FallbackList | None = None
    """For an alias, those that answer where its provider's policy blocks a prompt."""


class RouterSettings(_RoutingSettings):
    """`router_settings`."""

    timeout: Seconds | None = None
    """The `timeout` of rows that have none; unset: `litellm_settings.request_timeout`."""
    stream_timeout: Seconds | None = None
    """The `stream_timeout` of rows that have none."""


class LitellmSettings(_RoutingSettings):
    """`litellm_settings`."""

    request_timeout: Seconds | None = None
    """The `timeout` of rows that have none."""
    drop_params: bool | None = None
    """The `drop_params` of rows that have none."""
    global_prompt_directory: str | None = None
    """A directory of prompts: the store `dotprompt`, where no store is configured."""


def merge_fallbacks(lists: _FallbackList | None) -> Mapping[str, tuple[str, ...]]:
    """Return the fallbacks of each alias; what comes in several mappings is put together."""
    merged: dict[str, tuple[str, ...]] = {}
    for mapping in lists or ():
        for alias, fallbacks in mapping.items():
            merged[alias] = (*merged.get(alias, ()), *fallbacks)
    return merged
