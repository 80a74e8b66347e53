"""Prompts in the form of LiteLLM's Generic Prompt Management API.

LiteLLM fills the variables in by itself: it looks for `{name}`, in contents that are one text, and
for nothing else. So that is how variables are written; a template that LiteLLM would fill in wrong
is refused.
"""

import re
from collections import Counter
from collections.abc import Collection

from ...dispatch.notation import DEFAULT_PROVIDER, HUMANLOOP_PROVIDERS
from ...domain.errors import Reason, TemplateError
from ...domain.json_codec import encode_json
from ...domain.parameters import Json, Parameters
from ...domain.prompts import Message, Reasoning, Template, Text
from ...providers.dialects.openai.messages import write_message
from ...providers.dialects.openai.parameters import write_all
from ...providers.dialects.openai.request import write_tool
from ...rendering.languages import cut_default
from ...rendering.substitution import Variable
from ...rendering.variables import LANGUAGE, find_variables, texts_of
from ..openai.answer import write_thoughts

_NUMBER = re.compile(r"[0-9]{1,18}")
_SPELLED = re.compile(r"\{([A-Za-z0-9_.\[\]]+)\}")


def write_prompt(template: Template, prompt_id: str) -> bytes:
    """Return a template for LiteLLM, under the id that it was asked for by.

    Raises TEMPLATE_INVALID where LiteLLM could not fill it in.
    """
    if template.language != LANGUAGE:
        raise _unfit(template, f"templates in the language {LANGUAGE!r}")
    if template.placeholders:
        raise _unfit(template, "templates without placeholders")
    names = find_variables(template)
    if template.defaults.keys() & set(names):
        raise _unfit(template, "variables without defaults")
    document: dict[str, Json] = {
        "prompt_id": prompt_id,
        "prompt_template": [
            _message(template, message, f"messages[{index}]", names)
            for index, message in enumerate(template.messages)
        ],
        "prompt_template_optional_params": _parameters(template),
    }
    if model := _model(template):
        document["prompt_template_model"] = model
    return encode_json(document)


def _message(template: Template, message: Message, path: str, names: Collection[str]) -> Json:
    wire = write_message(message, path) | write_thoughts(
        [part for part in message.content if isinstance(part, Reasoning)]
    )
    match [part for part in message.content if not isinstance(part, Reasoning)]:
        case [Text(text=text)] if not message.tool_calls:
            wire["content"] = _respell(template, text, path, names)
        case _ if any(map(_has_variables, texts_of(message))):
            raise _unfit(template, f"variables in {path} only if its content is one text")
    return wire


def _has_variables(text: str) -> bool:
    return any(isinstance(piece, Variable) for piece in cut_default(text))


def _respell(template: Template, text: str, path: str, names: Collection[str]) -> str:
    """Return a text with its variables as LiteLLM spells them."""
    counts: Counter[str] = Counter()
    pieces = []
    for piece in cut_default(text):
        if isinstance(piece, Variable):
            if piece.tool is not None:
                raise _unfit(template, f"{path} without the output of a tool")
            counts[piece.name] += 1
            pieces.append(_spell(piece.name))
        else:
            pieces.append(piece)
    respelled = "".join(pieces)
    spelled = Counter(_SPELLED.findall(respelled))
    for name in names:
        if spelled[name] != counts[name]:
            raise _unfit(template, f"{path} without a {_spell(name)} that is no variable")
    return respelled


def _spell(name: str) -> str:
    return f"{{{name}}}"


def _model(template: Template) -> str:
    """Return the model as LiteLLM names it; empty where the template names none."""
    model, provider = template.model or "", template.provider or ""
    if not model or not provider or (provider == DEFAULT_PROVIDER and "/" not in model):
        return model
    return f"{HUMANLOOP_PROVIDERS.get(provider, provider)}/{model}"


def _parameters(template: Template) -> dict[str, Json]:
    wire = write_all(template.parameters)
    if (budget := _thinking_budget(template.parameters)) is not None:
        del wire["reasoning_effort"]
        wire["thinking"] = {"type": "enabled", "budget_tokens": budget}
    if template.tools:
        wire["tools"] = [write_tool(tool) for tool in template.tools]
    return wire


def _thinking_budget(parameters: Parameters) -> int | None:
    """Return the budget of thinking tokens that stands for an effort, or None for a word."""
    effort = parameters.reasoning_effort or ""
    return int(effort) if _NUMBER.fullmatch(effort) else None


def _unfit(template: Template, expected: str) -> TemplateError:
    return TemplateError(
        Reason.TEMPLATE_INVALID,
        f"{template.location}: expected {expected}, as LiteLLM fills in the rest wrong",
        metadata={"id": template.id},
    )
