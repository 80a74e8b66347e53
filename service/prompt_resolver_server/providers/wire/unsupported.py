"""Refusals of what a provider does not take, before anything is sent."""

from collections.abc import Sequence

from ...errors import CallError, Reason, Violation


def check_insisted(lacking: Sequence[str], insisted: frozenset[str]) -> None:
    """Raise PARAMETER_UNSUPPORTED if the caller insists on a parameter that the provider lacks."""
    refused = [name for name in lacking if name in insisted]
    if refused:
        raise CallError(
            Reason.PARAMETER_UNSUPPORTED,
            f"parameters: the provider does not take {', '.join(refused)}",
            violations=tuple(
                Violation(f"parameters.{name}", "not taken by the provider") for name in refused
            ),
        )


def no_conversation() -> CallError:
    """Return the error for messages of the system alone, where the provider answers none such."""
    expected = "expected one of a user, an assistant or a tool that is not empty"
    return CallError(
        Reason.MESSAGES_MISSING,
        f"messages: {expected}, as the provider answers no system message alone",
        violations=(Violation("messages", expected),),
    )
