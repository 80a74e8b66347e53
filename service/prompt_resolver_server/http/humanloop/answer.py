"""Prompts in the form of Humanloop's v5 API, unrendered: the variables stay `{{name}}`.

What the API requires and no store here knows is told as nothing at all: no logs, last used when the
version came about, and that on 1 January 1970 where the store does not know it. What the API has no
form for is told in one of ours, see `extension`.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from msgspec.structs import replace

from ...dispatch.notation import HUMANLOOP_PROVIDERS
from ...domain.json_codec import encode_json
from ...domain.parameters import Json, Parameters
from ...domain.prompts import Message, Reasoning, Template, Tool
from ...providers.dialects.openai.messages import write_message
from ...providers.dialects.openai.parameters import write_all
from ...rendering import find_variables
from ...templates.humanloop.extension import write_extension, write_placeholder
from ...templates.listing import Environment, ListQuery, TemplatePage
from ..openai.answer import write_thought

_EPOCH = datetime.fromtimestamp(0, UTC)
_PROVIDERS = {ours: humanloops for humanloops, ours in HUMANLOOP_PROVIDERS.items()}

# An effort that is a number is a budget of thinking tokens.
_NUMBER = re.compile(r"-?[0-9]{1,18}")
# The API has no fields for these, and takes them among the others.
_OTHERS = ("top_k", "parallel_tool_calls", "max_completion_tokens")


def write_prompt(template: Template) -> bytes:
    """Return a template as a PromptResponse."""
    return encode_json(_prompt(template))


def write_page(page: TemplatePage, query: ListQuery) -> bytes:
    """Return a page of the list of prompts."""
    return encode_json(
        {
            "records": _prompts(page.templates),
            "page": query.page,
            "size": query.size,
            "total": page.total,
        }
    )


def write_versions(templates: Iterable[Template]) -> bytes:
    """Return the list of a prompt's versions, which is not paged."""
    return encode_json({"records": _prompts(templates)})


def write_environments(environments: Iterable[Environment]) -> bytes:
    """Return the list of a prompt's environments, which is a bare one."""
    return encode_json([_environment(environment) for environment in environments])


def _environment(environment: Environment) -> Json:
    wire: dict[str, Json] = {
        "id": environment.id,
        "created_at": _moment(environment.created_at),
        "name": environment.name,
        "tag": environment.tag,
    }
    if environment.template is not None:
        wire["file"] = _prompt(environment.template)
    return wire


def _prompts(templates: Iterable[Template]) -> list[Json]:
    return [_prompt(template) for template in templates]


def _prompt(template: Template) -> Json:
    created_at = _moment(template.created_at)
    return {
        "path": template.path,
        "id": template.id,
        "name": template.name,
        "type": "prompt",
        "version_id": template.version,
        "created_at": created_at,
        "updated_at": created_at,
        "last_used_at": created_at,
        "version_logs_count": 0,
        "total_logs_count": 0,
        "inputs": [{"name": name} for name in find_variables(template)],
        "model": template.model or "",
        "provider": _PROVIDERS.get(template.provider or "", template.provider),
        "endpoint": "complete" if _is_text(template) else "chat",
        "template_language": template.language,
        "template": _template(template),
        "tools": [_tool(tool) for tool in template.tools],
        **_parameters(template.parameters),
        **write_extension(template),
    }


def _template(template: Template) -> Json:
    if _is_text(template):
        return "".join(message.text for message in template.messages)
    items = [
        _message(message, f"template[{index}]") for index, message in enumerate(template.messages)
    ]
    in_order = sorted(template.placeholders, key=lambda each: each.position)
    for inserted, placeholder in enumerate(in_order):
        items.insert(placeholder.position + inserted, write_placeholder(placeholder))
    return items


def _is_text(template: Template) -> bool:
    return template.as_text and not template.placeholders


def _message(message: Message, path: str) -> Json:
    wire = write_message(message, path)
    thoughts = [part for part in message.content if isinstance(part, Reasoning)]
    if thoughts:
        wire["thinking"] = [write_thought(thought) for thought in thoughts]
    if len(thoughts) == len(message.content):
        wire["content"] = None
    return wire


def _tool(tool: Tool) -> Json:
    """Write a tool as the API does: flat."""
    wire: dict[str, Json] = {"name": tool.name, "description": tool.description}
    if tool.parameters is not None:
        wire["parameters"] = dict(tool.parameters)
    if tool.strict is not None:
        wire["strict"] = tool.strict
    return wire


def _parameters(parameters: Parameters) -> Mapping[str, Json]:
    wire = write_all(replace(parameters, extra={}))
    if _NUMBER.fullmatch(parameters.reasoning_effort or ""):
        wire["reasoning_effort"] = int(parameters.reasoning_effort or "")
    others = {name: wire.pop(name) for name in _OTHERS if name in wire} | dict(parameters.extra)
    return wire | {"other": others} if others else wire


def _moment(moment: datetime | None) -> str:
    return (moment or _EPOCH).isoformat()
