"""Secrets, and where they come from."""

import os
from pathlib import Path

from prompt_resolver_server.settings.secrets import EnvironmentSecret, FileSecret, FixedSecret


def test_secret_in_a_file(tmp_path: Path) -> None:
    """A secret in a file is read again when it changes, and stays while the file is gone."""
    path = tmp_path / "key"
    path.write_text("first\n")
    secret = FileSecret(path)
    assert secret.reveal() == "first"

    path.write_text("second")
    os.utime(path, (1, 1))
    assert secret.reveal() == "second"

    path.unlink()
    assert secret.reveal() == "second"

    path.write_text("\n")
    assert secret.reveal() == "second"


def test_secrets_hide(tmp_path: Path) -> None:
    """No secret shows itself."""
    path = tmp_path / "key"
    path.write_text("canary")
    environment = EnvironmentSecret({"A": "", "B": "canary"}, ("A", "B"))

    assert environment.reveal() == "canary"
    assert EnvironmentSecret({}, ("A",)).reveal() is None
    for secret in (FixedSecret("canary"), FileSecret(path), environment):
        assert "canary" not in repr(secret)
        assert "canary" not in str(secret)


def test_mark_of_utf_8(tmp_path: Path) -> None:
    """The mark that some editors put before a text in UTF-8 is no part of the secret."""
    path = tmp_path / "key"
    path.write_bytes(b"\xef\xbb\xbfkey\r\n")

    assert FileSecret(path).reveal() == "key"
