"""Conversations, as far as what APIs demand of them goes beyond single messages."""

from ...errors import CallError, Reason, Violation


def no_conversation() -> CallError:
    """Return the error for messages of the system alone, where the provider answers none such."""
    expected = "expected one of a user, an assistant or a tool that is not empty"
    return CallError(
        Reason.MESSAGES_MISSING,
        f"messages: {expected}, as the provider answers no system message alone",
        violations=(Violation("messages", expected),),
    )
