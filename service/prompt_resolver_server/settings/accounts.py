"""What a provider's account is, beside its key: the same words in `providers` and in a row."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .fields import KeyText

_Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=200)]
"""What may stand in a URL, and decides neither its host nor where a part of it ends."""
_Project = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.:-]*$", max_length=200)]
"""The same for a path alone: projects of an organization's own have its domain in their names."""


class AccountSettings(BaseModel):
    """Where in a cloud the models are, and who asks for them. The names are LiteLLM's.

    What is unset is looked up in the provider's customary variables when it is needed.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    api_version: _Word | None = None
    """The version of the API, for providers that have several."""
    account_id: _Word | None = None
    """The account, for providers whose URL names it."""
    azure_ad_token: KeyText = None
    """A token of Microsoft Entra, in place of a key."""
    aws_region_name: _Word | None = None
    """The region of AWS."""
    aws_access_key_id: KeyText = None
    """The id of the access key of AWS; unset: what AWS' own libraries would find."""
    aws_secret_access_key: KeyText = None
    """The access key itself."""
    aws_session_token: KeyText = None
    """The token that goes with a temporary access key."""
    vertex_project: _Project | None = None
    """The project of Google Cloud."""
    vertex_location: _Word | None = None
    """The region of Google Cloud, or `global`, `us` or `eu`."""
    vertex_credentials: KeyText = None
    """The credentials as JSON, or their path; unset: what Google's own libraries would find."""

    @property
    def account(self) -> dict[str, object]:
        """What is set of the account."""
        return {name: value for name in ACCOUNT if (value := getattr(self, name)) is not None}


ACCOUNT = tuple(AccountSettings.model_fields)
"""The names of these settings."""

CREDENTIALS_BY_SIGNER: Mapping[str, tuple[str, ...]] = {
    "aws": ("aws_access_key_id", "aws_secret_access_key", "aws_session_token"),
    "azure": ("azure_ad_token",),
    "google": ("vertex_credentials",),
}
"""Those of them that let somebody in, by who makes use of them."""
CREDENTIALS = tuple(name for names in CREDENTIALS_BY_SIGNER.values() for name in names)


def may_be(name: str, value: str) -> bool:
    """Tell whether one of these settings, which is no secret, may have a value."""
    try:
        AccountSettings.model_validate({name: value})
    except ValidationError:
        return False
    return True
