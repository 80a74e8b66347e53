"""Refusals of what a provider does not take, before anything is sent."""

from collections.abc import Sequence

from ...errors import CallError, Reason, Violation


def check_insisted(lacking: Sequence[str], insisted: frozenset[str]) -> None:
    """Raise PARAMETER_UNSUPPORTED if what the provider lacks must be sent.

    Beside parameters it may be the `tool_choice`.
    """
    refused = [name for name in lacking if name in insisted]
    if refused:
        raise CallError(
            Reason.PARAMETER_UNSUPPORTED,
            f"the provider does not take {', '.join(refused)}",
            violations=tuple(
                Violation(_field(name), "not taken by the provider") for name in refused
            ),
        )


def _field(name: str) -> str:
    return name if name == "tool_choice" else f"parameters.{name}"
