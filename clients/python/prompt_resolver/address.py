"""Where the service is, for those who are not told."""

import os

DEFAULT_ADDRESS = "127.0.0.1:50051"


def find_address(given: str | None) -> str:
    """Return the address that was given, else `PROMPT_RESOLVER_ADDRESS`, else the default."""
    return given or os.environ.get("PROMPT_RESOLVER_ADDRESS") or DEFAULT_ADDRESS
