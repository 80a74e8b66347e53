"""How providers let requests in that take more than a plain key.

A new way is a module here with a class that is a `Signer`, and a line in `SIGNERS`. What it needs
beyond the service comes as an extra, and is imported when it is first used.
"""

from collections.abc import Callable, Mapping

from ...settings.accounts import AccountSettings
from ..signer import Signer
from .aws import AwsSigner
from .azure import AzureTokenSigner
from .google import GoogleSigner

SIGNERS: Mapping[str, Callable[[AccountSettings], Signer]] = {
    "aws": AwsSigner,
    "azure": AzureTokenSigner,
    "google": GoogleSigner,
}
"""What makes the signer of an account, whose settings have been completed from the environment."""

__all__ = ["SIGNERS", "Signer"]
