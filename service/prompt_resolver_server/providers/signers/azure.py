"""Azure's tokens: what Microsoft Entra gave somebody, in place of a key."""

from msgspec.structs import replace

from ...domain.errors import CallError, Reason
from ...settings.accounts import AccountSettings
from ...settings.secrets import Secret
from ..transport.transport import HttpRequest


class AzureTokenSigner:
    """A `Signer` that puts a token on requests, which whoever configured it keeps fresh."""

    def __init__(self, account: AccountSettings) -> None:
        self._token: Secret | None = account.azure_ad_token

    async def sign(self, request: HttpRequest) -> HttpRequest:
        """Return the request with the token; see `Signer.sign`."""
        token = self._token.reveal() if self._token is not None else None
        if not token:
            raise CallError(
                Reason.PROVIDER_KEY_MISSING,
                "Azure needs a key or a token and there is none: expected api_key, azure_ad_token,"
                " AZURE_OPENAI_API_KEY, AZURE_API_KEY or AZURE_AD_TOKEN",
            )
        headers = {**request.headers, "Authorization": f"Bearer {token}"}
        return replace(request, headers=headers)
