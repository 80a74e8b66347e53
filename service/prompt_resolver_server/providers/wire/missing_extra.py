"""What comes as an extra, where it is needed and not there."""

from ...domain.errors import CallError, Reason


def missing_extra(extra: str) -> CallError:
    """Return the error of a call that needs an extra which is not installed."""
    return CallError(
        Reason.PROVIDER_UNKNOWN,
        f"the provider needs more than is installed: pip install 'prompt-resolver[{extra}]'",
        metadata={"extra": extra},
    )
