"""The second level of the cache, where one is configured."""

import importlib.util
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..metrics import Metrics
from ..settings import Loaded
from ..templates.cache.source import Source
from ..templates.store import AccountStore

if TYPE_CHECKING:
    from ..templates.cache.shared.shared_cache import FindAccount, SharedCache


def check_shared_cache(loaded: Loaded) -> None:
    """Raise `ConfigError` where a shared cache is configured, and what it needs is not there."""
    if loaded.settings.cache.redis is not None and importlib.util.find_spec("redis") is None:
        raise loaded.fault(
            ("cache", "redis"),
            "expected the package redis: install prompt-resolver[server,redis]",
        )


def build_shared_cache(
    loaded: Loaded, sources: Mapping[str, Source], metrics: Metrics, tls: ssl.SSLContext
) -> "SharedCache | None":
    """Return what the replicas share, or None where nothing is configured. Raises `ConfigError`."""
    settings = loaded.settings.cache.redis
    if settings is None:
        return None
    check_shared_cache(loaded)
    # Who shares nothing does not pay for the package, nor has to have it.
    from ..templates.cache.shared.server import RedisAddress, RedisServer  # noqa: PLC0415
    from ..templates.cache.shared.shared_cache import SharedCache, Sharing  # noqa: PLC0415

    password = settings.password
    address = RedisAddress(
        url=settings.url,
        find_password=password.reveal if password is not None else None,
        tls=tls,
    )
    return SharedCache(
        RedisServer(address, timeout_s=settings.timeout_s, metrics=metrics),
        Sharing(
            prefix=settings.key_prefix,
            keep_s=settings.keep_s,
            accounts=find_accounts(sources),
        ),
        metrics=metrics,
    )


def find_accounts(sources: Mapping[str, Source]) -> "Mapping[str, FindAccount]":
    """Return what the stores are asked with whose templates replicas may share."""
    return {
        name: source.store.account
        for name, source in sources.items()
        if source.is_remote and isinstance(source.store, AccountStore)
    }
