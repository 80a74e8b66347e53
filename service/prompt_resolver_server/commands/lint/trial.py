"""Tries a template with sample values, to find what shows only when it is rendered."""

import asyncio

from ...domain.errors import CallError, Reason, TemplateError
from ...domain.parameters import Json, JsonObject
from ...domain.prompts import Template
from ...rendering import Renderer
from .samples import sample_variables

_PATIENCE_S = 60.0
# Where other programs keep the processors, a template may take too long that does not otherwise.
_ATTEMPTS = 2
# What no schema tells the kind of is mostly a text, and else mostly a number.
_KINDS: tuple[Json, ...] = ("sample", 1)


async def find_fault(template: Template, renderer: Renderer) -> TemplateError | None:
    """Return what the service would say of a template; None where some values may render it.

    Values of other kinds than it is meant for prove nothing, so they are tried of several kinds,
    unless its schema says of which they are.
    """
    samples = _samples(template)
    faults = []
    for variables in samples:
        fault = await _render(template, variables, renderer)
        if fault is None:
            return None
        if isinstance(fault, CallError):
            # The samples are at fault.
            continue
        if fault.reason is Reason.TEMPLATE_BUDGET:
            return fault
        faults.append(fault)
        # Numbers may be computed with: what is forbidden even so, no value makes right.
        if variables is samples[-1] and fault.reason is Reason.TEMPLATE_FORBIDDEN:
            return fault
    return faults[0] if len(faults) == len(samples) else None


async def _render(
    template: Template, variables: JsonObject, renderer: Renderer
) -> CallError | TemplateError | None:
    """Return what a template fails at with some variables, if at anything."""
    fault: CallError | TemplateError | None = None
    for _ in range(_ATTEMPTS):
        try:
            await renderer.render(
                template, variables, deadline=asyncio.get_running_loop().time() + _PATIENCE_S
            )
        except (CallError, TemplateError) as error:
            fault = error
        else:
            return None
        if fault.reason is not Reason.TEMPLATE_BUDGET:
            break
    return fault


def _samples(template: Template) -> list[JsonObject]:
    samples: list[JsonObject] = []
    for kind in _KINDS:
        variables = sample_variables(template, kind)
        if variables not in samples:
            samples.append(variables)
    return samples
