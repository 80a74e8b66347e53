"""Tries a template with sample values, to find what shows only when it is rendered."""

import asyncio

from ...domain.errors import CallError, Reason, TemplateError
from ...domain.parameters import Json, JsonObject
from ...domain.prompts import Template
from ...rendering import Renderer
from .samples import sample_variables

_PATIENCE_S = 60.0
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
        try:
            await renderer.render(
                template, variables, deadline=asyncio.get_running_loop().time() + _PATIENCE_S
            )
        except CallError:
            # The samples are at fault.
            continue
        except TemplateError as error:
            if error.reason is Reason.TEMPLATE_BUDGET:
                return error
            faults.append(error)
            # Numbers may be computed with: what is forbidden even so, no value makes right.
            if variables is samples[-1] and error.reason is Reason.TEMPLATE_FORBIDDEN:
                return error
        else:
            return None
    return faults[0] if len(faults) == len(samples) else None


def _samples(template: Template) -> list[JsonObject]:
    samples: list[JsonObject] = []
    for kind in _KINDS:
        variables = sample_variables(template, kind)
        if variables not in samples:
            samples.append(variables)
    return samples
