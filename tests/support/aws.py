"""AWS as far as it hands out credentials: what a container asks for its own."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.upstream import Exchange

ISOLATED = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"),
    *("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
    *("AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
    *("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "AWS_BEARER_TOKEN_BEDROCK"),
    *("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_DEFAULT_PROFILE"),
)


def forget_credentials(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Have nothing found of AWS on this machine."""
    for name in ISOLATED:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "no-credentials"))


async def hand_out(exchange: Exchange, key_id: str, secret: str, *, for_s: float = 3600) -> None:
    """Answer with credentials that expire."""
    credentials = {
        "AccessKeyId": key_id,
        "SecretAccessKey": secret,
        "Token": f"token-of-{key_id}",
        "Expiration": (datetime.now(UTC) + timedelta(seconds=for_s)).isoformat(),
    }
    await exchange.send_response(json.dumps(credentials).encode())
