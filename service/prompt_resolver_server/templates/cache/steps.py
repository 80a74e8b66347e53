"""The cache's steps of resolving a prompt, for whoever asks how it is resolved."""

from ...domain.errors import Reason, ResolverError
from ...domain.explaining import tell
from ...domain.prompts import ServedTemplate
from .entries import Held, Key
from .source import Source


def tell_query(key: Key, source: Source) -> None:
    """Tell what is asked of which store, and whose key opens it."""
    tell(
        "store",
        f"the prompt is in store {key.store!r}",
        store=key.store,
        id=key.id,
        version=key.version,
        environment=key.environment,
        ttl_s=source.ttl_s,
        key="the caller's" if key.credential else "the server's",
    )


def tell_looked(served: ServedTemplate | None, *, refresh: bool) -> None:
    """Tell what was served from memory, if anything was."""
    if served is None:
        why = "a refresh was asked for" if refresh else "no copy may be served unasked"
        tell("cache", f"{why}: the store is asked", result="bypass" if refresh else "miss")
        return
    tell(
        "cache",
        "a copy is served that is past its time to live"
        if served.cache == "stale"
        else "a copy is served",
        result=served.cache,
        version=served.template.version,
        age_s=served.age_s,
        stale=served.stale,
    )


def tell_absent(error: ResolverError) -> None:
    """Tell what the store said the last time, instead of a prompt."""
    tell("cache", "the store is not to be asked again yet", reason=error.reason)


def tell_fetched(outcome: Held | Exception) -> None:
    """Tell what the store answered, or that a copy stands in for it."""
    if isinstance(outcome, Held) and outcome.restored:
        version = outcome.template.version
        tell("fetch", "the store does not answer: a copy was kept", version=version)
        return
    if isinstance(outcome, Held):
        tell("fetch", "the store answered", version=outcome.template.version)
        return
    reason = outcome.reason if isinstance(outcome, ResolverError) else Reason.INTERNAL
    tell("fetch", "the store did not answer with a prompt", reason=reason)
