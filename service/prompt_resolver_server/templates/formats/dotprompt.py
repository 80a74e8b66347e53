"""Google's dotprompt files: a front matter that may be absent, and a body of Handlebars.

    ---
    model: googleai/gemini-2.0-flash
    config: {temperature: 0.2}
    input:
      schema: {name: string}
      default: {lang: en}
    ---
    {{role "system"}}You greet in {{lang}}.
    {{role "user"}}Hi {{name}}

The body stays one text, as its messages come about only when it is rendered. `config.version` is
the model of the family that `model` names. All of `toolDefs` are tools, and `tools` may name no
others. What the front matter says beyond that, such as a name, a variant and extensions, is for
display.
"""

import re
from collections.abc import Mapping

from msgspec.structs import replace

from ...domain.parameters import Json, JsonSchema, Parameters, ResponseFormat
from ...domain.prompts import Message, Text, Tool
from .fields import (
    FieldError,
    Path,
    check_nesting,
    read_integer,
    read_parameters,
    read_text,
    unexpected,
)
from .picoschema import read_schema
from .prompt_file import PromptFile, Source

LANGUAGE = "handlebars"
"""The template language of the body."""

_PROVIDERS: Mapping[str, str] = {"googleai": "gemini", "vertexai": "vertex_ai"}
# The parameters by their names in a `config`; those of our own are known there, too.
_PARAMETERS: Mapping[str, str] = {
    "maxOutputTokens": "max_tokens",
    "stopSequences": "stop",
    "topK": "top_k",
    "topP": "top_p",
    **{
        name: name
        for name in (
            *("frequency_penalty", "max_tokens", "presence_penalty", "reasoning_effort", "seed"),
            *("stop", "temperature", "top_k", "top_p"),
        )
    },
}
_MODEL_VERSION = "version"

KEYS = frozenset(
    {
        *("model", "config", "input", "output", "tools", "toolDefs"),
        # For display.
        *("name", "variant", "version", "description", "metadata", "ext", "raw"),
    }
)
"""The keys of a front matter that there are in this format, those included that are not read."""

NESTED_KEYS: Mapping[str, frozenset[str]] = {
    "input": frozenset({"schema", "default"}),
    "output": frozenset({"format", "schema"}),
    "toolDefs": frozenset({"name", "description", "inputSchema", "outputSchema"}),
}
"""The keys of what stands below some of them."""

PARAMETERS = frozenset({*_PARAMETERS, _MODEL_VERSION})
"""The keys of a `config` that are not passed on as they stand."""

_OUTPUT_NAME = "output"

# Neither what is escaped, nor a name that is only known when it is rendered.
_PARTIAL = re.compile(r"""(?<!\\)\{\{~?#?>\s*["'\[]?([^\s"'\]}~(|@]+)""")


def parse_dotprompt(source: Source) -> PromptFile:
    """Read a file of this format. Raises `PromptFileError`."""
    fields = source.fields
    try:
        config = _mapping(fields, ("config",))
        provider, model = _read_model(fields, config)
        inputs = _mapping(fields, ("input",))
        defaults = _mapping(inputs, ("input", "default"))
        check_nesting(defaults, ("input", "default"))
        output = _read_output(_mapping(fields, ("output",)))
        return PromptFile(
            model=model,
            provider=provider,
            language=LANGUAGE,
            parameters=replace(_read_config(config), response_format=output),
            tools=_read_tools(fields),
            messages=(Message(role="user", content=(Text(_read_body(source)),)),),
            as_text=True,
            defaults=defaults,
            schema=read_schema(inputs.get("schema"), ("input", "schema")),
        )
    except FieldError as error:
        raise source.fault(error) from None


def find_partials(text: str) -> tuple[str, ...]:
    """Return the names of the partials that a text of Handlebars includes, each once."""
    return tuple(dict.fromkeys(_PARTIAL.findall(text)))


def _read_body(source: Source) -> str:
    return source.body if source.front_matter is None else source.body.strip()


def _read_model(
    fields: Mapping[str, Json], config: Mapping[str, Json]
) -> tuple[str | None, str | None]:
    """Return the provider, by its name here, and the model."""
    name = read_text(fields, "model")
    vendor, slash, model = (name or "").partition("/")
    if not slash:
        vendor, model = "", name or ""
    version = config.get(_MODEL_VERSION)
    if not isinstance(version, str | None):
        raise unexpected(("config", _MODEL_VERSION), "text", version)
    return _PROVIDERS.get(vendor, vendor) or None, version or model or None


def _read_config(config: Mapping[str, Json]) -> Parameters:
    """Return the parameters of a `config`; those that are nobody's are passed on as they are."""
    written: dict[str, str] = {}
    values: dict[str, Json] = {}
    others: dict[str, Json] = {}
    for name, value in config.items():
        ours = _PARAMETERS.get(name)
        if name == _MODEL_VERSION:
            continue
        if ours is None:
            others[name] = value
        elif ours in values:
            raise FieldError(
                ("config", name), f"expected it once, as {written[ours]!r} is the same"
            )
        else:
            written[ours], values[ours] = name, value
    try:
        top_k = read_integer(values, "top_k")
        return replace(read_parameters({**values, "other": others}), top_k=top_k)
    except FieldError as error:
        first, *rest = error.path
        path = rest if first == "other" else (written.get(str(first), first), *rest)
        raise FieldError(("config", *path), error.problem, forbidden=error.forbidden) from None


def _read_output(output: Mapping[str, Json]) -> ResponseFormat | None:
    """Return the form of the answer. A schema without a format is one of JSON."""
    schema = read_schema(output.get("schema"), ("output", "schema"))
    match output.get("format"):
        case None if schema is None:
            return None
        case "text":
            return ResponseFormat(type="text")
        case "json" | None:
            if schema is None:
                return ResponseFormat(type="json_object")
            return ResponseFormat(
                type="json_schema", json_schema=JsonSchema(name=_OUTPUT_NAME, schema=schema)
            )
        case _:
            raise FieldError(("output", "format"), "expected json or text")


def _read_tools(fields: Mapping[str, Json]) -> tuple[Tool, ...]:
    definitions = _list(fields, "toolDefs")
    tools: dict[str, Tool] = {}
    for index, value in enumerate(definitions):
        path: Path = ("toolDefs", index)
        tool = _read_tool(value, path)
        if tool.name in tools:
            raise FieldError((*path, "name"), "expected each tool once")
        tools[tool.name] = tool
    for index, name in enumerate(_list(fields, "tools")):
        if not isinstance(name, str):
            raise unexpected(("tools", index), "the name of a tool", name)
        if name not in tools:
            raise FieldError(
                ("tools", index),
                "expected the name of one of `toolDefs`: tools that are defined elsewhere come"
                " with the call",
            )
    return tuple(tools.values())


def _read_tool(value: Json, path: Path) -> Tool:
    if not isinstance(value, dict):
        raise unexpected(path, "a tool with a name", value)
    name, description = value.get("name"), value.get("description")
    if not isinstance(name, str) or not name:
        raise unexpected((*path, "name"), "the tool's name", name)
    if not isinstance(description, str | None):
        raise unexpected((*path, "description"), "text", description)
    return Tool(
        name=name,
        description=description or "",
        parameters=read_schema(value.get("inputSchema"), (*path, "inputSchema")),
    )


def _mapping(fields: Mapping[str, Json], path: Path) -> dict[str, Json]:
    """Return the field that the path ends in, or nothing where it is not set."""
    value = fields.get(str(path[-1]))
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise unexpected(path, "a mapping", value)
    return value


def _list(fields: Mapping[str, Json], name: str) -> list[Json]:
    value = fields.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise unexpected((name,), "a list", value)
    return value
