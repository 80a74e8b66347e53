"""What a provider does not take: left out and told, or refused before anything is sent."""

from collections.abc import Callable, Collection

from ...domain.answers import ModelRequest
from ...domain.errors import CallError, Reason, Violation
from ...domain.parameters import Parameters


def find_lacking(
    request: ModelRequest, lacks: Collection[str], has_no_place: Callable[[str, ModelRequest], bool]
) -> tuple[str, ...]:
    """Return the names of the parameters that are set and cannot be sent.

    That is what a provider lacks, and what its dialect has no place for. Raises
    PARAMETER_UNSUPPORTED for what must be sent.
    """
    lacking = tuple(
        name
        for name in name_all(request.parameters)
        if name in lacks or has_no_place(name, request)
    )
    check_insisted(lacking, request.insisted)
    return lacking


def name_all(parameters: Parameters) -> Collection[str]:
    """Return the names of all parameters that are set, those without a field of their own, too."""
    return dict.fromkeys((*parameters.names(), *parameters.extra))


def check_insisted(lacking: Collection[str], insisted: frozenset[str]) -> None:
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
