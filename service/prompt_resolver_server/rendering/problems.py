"""What callers and authors are told of variables and templates that cannot be rendered."""

from collections.abc import Mapping

from ..domain.errors import CallError, Reason, TemplateError, Violation
from ..domain.prompts import Template
from ..sandbox.protocol import Fault, Refused

_MAX_NAMED = 50

_REASONS: Mapping[Fault, Reason] = {
    "invalid": Reason.TEMPLATE_INVALID,
    "forbidden": Reason.TEMPLATE_FORBIDDEN,
    "budget": Reason.TEMPLATE_BUDGET,
}


class TextError(TemplateError):
    """A template that is at fault in one of its texts: what was expected there.

    `text` is the index of the text, and `line` the line in it from 1 on, where they are known.
    """

    expected: str = ""
    text: int | None = None
    line: int | None = None


def variables_invalid(problems: Mapping[str, str]) -> CallError:
    """Return the error that tells everything that is wrong with variables, by name or path.

    What nobody knows the name of has an empty one.
    """
    names = sorted(problems)
    shown = names[:_MAX_NAMED]
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    absent = [name for name in shown if problems[name] in ("missing", "null")]
    wrong = [
        f"{name}: {problems[name]}" if name else problems[name]
        for name in shown
        if name not in absent
    ]
    told = [f"missing {', '.join(absent)}"] if absent else []
    return CallError(
        Reason.VARIABLES_INVALID,
        f"variables: {'; '.join(told + wrong)}{more}",
        metadata={"missing": ",".join(absent)} if absent else {},
        violations=tuple(
            Violation(f"variables.{name}" if name else "variables", problems[name])
            for name in shown
        ),
    )


def variables_too_large(expected: str) -> CallError:
    """Return the error for variables that are too much for a prompt."""
    return CallError(
        Reason.VARIABLES_INVALID,
        f"variables: expected {expected}",
        violations=(Violation("variables", "too large"),),
    )


def template_refused(template: Template, refused: Refused) -> TemplateError:
    """Return the error for a template that a worker does not render."""
    # Lines are those of one text, and a template has many.
    where = f" (in line {refused.line} of a text)" if refused.line is not None else ""
    error = TextError(
        _REASONS[refused.fault],
        f"{template.location}: {refused.expected}{where}",
        metadata={"id": template.id},
    )
    error.expected, error.text, error.line = refused.expected, refused.text, refused.line
    return error


def template_exhausted(
    template: Template, expected: str, *, retry_after_s: float | None = None
) -> TemplateError:
    """Return the error for a template that takes more than it may.

    With `retry_after_s` it is not tried for so long.
    """
    return TemplateError(
        Reason.TEMPLATE_BUDGET,
        f"{template.location}: expected {expected}",
        metadata={"id": template.id},
        retry_after_s=retry_after_s,
    )


def template_invalid(template: Template, expected: str) -> TemplateError:
    """Return the error for a template that is nothing which could be rendered."""
    return TemplateError(
        Reason.TEMPLATE_INVALID,
        f"{template.location}: expected {expected}",
        metadata={"id": template.id},
    )


def language_unknown(template: Template, languages: tuple[str, ...]) -> TemplateError:
    """Return the error for a template in a language that is not served."""
    return TemplateError(
        Reason.TEMPLATE_INVALID,
        f"{template.location}: expected one of the template languages"
        f" {', '.join(languages)}, got {template.language!r}",
        metadata={"id": template.id, "language": template.language},
    )


def tool_missing(template: Template, tool: str) -> TemplateError:
    """Return the error for a tool whose output belongs into a template, and is not at hand."""
    return TemplateError(
        Reason.TEMPLATE_INVALID,
        f"{template.location}: the output of the tool {tool!r} belongs here, and this store cannot"
        " deliver it",
        metadata={"id": template.id, "tool": tool},
    )
