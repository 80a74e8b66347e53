"""Starts `prompt-resolver serve`, whose modules are imported here: most of a start is that."""

import gc
import os
import sys
from collections.abc import Sequence

# What is imported lasts, so hardly anything is found by looking for cycles in it: with Python's own
# 700 new objects between two looks, a tenth of the start goes into that.
_GARBAGE_THRESHOLDS = (10_000, 100, 100)


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until told to stop; return the exit code, 2 for an unusable configuration."""
    gc.set_threshold(*_GARBAGE_THRESHOLDS)
    # It would look through all that is installed, for plugins that nobody means for a service.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    _import_aiohttp()
    from .serve import main as serve  # noqa: PLC0415

    return serve(argv)


def _import_aiohttp() -> None:
    """Import aiohttp, which makes a TLS context for those who connect without one.

    Nobody does here, so that context trusts nobody: to read all certificates of the system takes
    50 ms, and `Trust` does it.
    """
    places = {name: os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")}
    os.environ.update(dict.fromkeys(places, os.devnull))
    try:
        import aiohttp  # noqa: F401, PLC0415
    finally:
        for name, place in places.items():
            if place is None:
                del os.environ[name]
            else:
                os.environ[name] = place


if __name__ == "__main__":
    sys.exit(main())
