"""What may be wrong with a prompt that can be served."""

import re

from ...domain.parameters import Json
from ...domain.prompts import Template
from ...rendering import find_variables
from .findings import Findings
from .message_checks import check_messages
from .secrets import find_secrets
from .source import Source
from .texts import find_references, find_texts

# In this language `user.name` is a name, in others a way into a variable.
_LITERAL_KEYS = "default"
_ALMOST = re.compile(r"\{\{[^{}\n]{0,80}\}\}|\{%[^{}\n]{0,80}%\}")
_FORMS = {
    "{{": "a variable is {{name}}: letters, digits, '_' and '.', and at most one space at each end",
    "{%": "tags are of `template_language: jinja`",
}


def check_prompt(template: Template, source: Source, findings: Findings) -> None:
    """Check a template, and what its file says beside it."""
    check_messages(template, source, findings)
    _check_variables(template, source, findings)
    _check_texts(template, source, findings)
    _check_tools(template, source, findings)
    if template.model is None:
        findings.add("model-missing", "no model: the caller or an alias has to name one")


def check_secrets(source: Source, findings: Findings) -> None:
    """Check a file for what looks like a secret."""
    for position, why in find_secrets(source.text, source.header):
        findings.add(
            "secret-suspected",
            f"{why} looks like a secret: keys belong into the configuration, as os.environ/NAME",
            source.place(position),
        )


def _check_variables(template: Template, source: Source, findings: Findings) -> None:
    schema = template.schema
    if schema is None:
        return
    used = find_variables(template)
    roots = used if template.language == _LITERAL_KEYS else tuple(dict.fromkeys(map(_root, used)))
    declared = _properties(schema.get("properties"))
    known = {*declared, *template.defaults}
    if schema.get("additionalProperties") in (None, False):
        for name in roots:
            if name not in known:
                findings.add(
                    "variable-undeclared",
                    f"the variable {name!r} is used and not declared; {_declared(declared)}",
                    source.find_variable(name),
                )
    for name in declared:
        if name not in roots:
            findings.add(
                "variable-unused",
                f"the variable {name!r} is declared and never used",
                source.find_key(name),
            )


def _root(name: str) -> str:
    return re.split(r"[.\[]", name, maxsplit=1)[0]


def _properties(value: Json) -> tuple[str, ...]:
    return tuple(value) if isinstance(value, dict) else ()


def _declared(names: tuple[str, ...]) -> str:
    return f"expected one of {', '.join(names)}" if names else "none is declared"


def _check_texts(template: Template, source: Source, findings: Findings) -> None:
    literals = (each for text in find_texts(template) for each in _ALMOST.findall(text))
    for literal in dict.fromkeys(literals):
        findings.add(
            "variable-literal",
            f"{literal} is text and comes out as it stands; {_FORMS[literal[:2]]}",
            source.find(literal),
        )
    for reference in find_references(template):
        keys = template.snippets.get(reference.tool or "")
        key = reference.argument
        if keys is None:
            problem = f"expected snippets of the tool {reference.tool!r}, and there are none"
        elif key.startswith('"') and key.strip('"') not in keys:
            problem = f"expected a key that the tool {reference.tool!r} has"
        else:
            continue
        findings.add("snippet-missing", problem, source.find(reference.name))


def _check_tools(template: Template, source: Source, findings: Findings) -> None:
    names: set[str] = set()
    for tool in template.tools:
        if tool.name in names:
            findings.add(
                "tool-duplicate",
                f"expected each tool once, {tool.name!r} comes twice",
                source.find_key("tools"),
            )
        names.add(tool.name)
    choice = template.tool_choice
    if choice is None or choice.mode in ("auto", "none"):
        return
    if not names or (choice.tool_name is not None and choice.tool_name not in names):
        came = repr(choice.tool_name or choice.mode)
        findings.add(
            "tool-choice-invalid",
            f"expected a choice among the prompt's tools, got {came}",
            source.find_key("tool_choice"),
        )
