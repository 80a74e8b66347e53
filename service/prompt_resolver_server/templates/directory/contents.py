"""What the files of a directory say, as templates."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from ...domain.json_codec import decode_json
from ...domain.parameters import Json
from ...domain.prompts import PromptRef, Template, Text
from ..formats.documents import DocumentError, decode_template
from ..formats.dotprompt import LANGUAGE as HANDLEBARS
from ..formats.dotprompt import find_partials
from ..formats.fields import FieldError, check_nesting, read_integer, read_parameters, read_tools
from ..formats.files import parse_prompt_file
from ..formats.format_rule import FormatRule
from ..formats.prompt_file import MAX_BYTES, PromptFileError, decode_text
from .layout import DOCUMENT_ENDING, ENDING, partials_at
from .reading import Reading
from .selection import Choice, Selection

_VERSION_DIGITS = 12
_MAX_PARTIALS = 100


class Content(NamedTuple):
    """A template, and the hash of all that it was made of."""

    template: Template
    digest: str


class Contents:
    """Reads files, of the formats that the rule tells."""

    def __init__(self, rule: FormatRule) -> None:
        self._rule = rule

    def read(
        self, reading: Reading, ref: PromptRef, selection: Selection, choice: Choice
    ) -> Content:
        """Return the template of a file. Raises `TemplateError`."""
        try:
            if choice.name.endswith(DOCUMENT_ENDING):
                return self._read_document(ref, choice)
            return self._read_file(reading, ref, choice)
        except PromptFileError as error:
            raise selection.invalid(choice.name, error) from None

    def _read_file(self, reading: Reading, ref: PromptRef, choice: Choice) -> Content:
        content = choice.file.content
        file = parse_prompt_file(content, self._rule)
        partials = (
            _read_partials(reading, choice.place, file.messages[0].text)
            if file.language == HANDLEBARS
            else {}
        )
        digest = _hash(content, partials)
        template = Template(
            id=ref.id,
            name=choice.place.rpartition("/")[2],
            version=choice.version or digest[:_VERSION_DIGITS],
            environment=choice.environment,
            content_sha256=digest,
            size=len(content) + sum(len(text.encode()) for text in partials.values()),
            location=_location(choice),
            language=file.language,
            messages=file.messages,
            model=file.model,
            provider=file.provider,
            parameters=file.parameters,
            tools=file.tools,
            defaults=file.defaults,
            schema=file.schema,
            partials=partials,
            as_text=file.as_text,
            created_at=_moment(choice.file.modified_at),
        )
        return Content(template, digest)

    @staticmethod
    def _read_document(ref: PromptRef, choice: Choice) -> Content:
        """Return a document's template, under the names that its file has here."""
        content = choice.file.content
        if len(content) > MAX_BYTES:
            raise PromptFileError(1, f"expected at most {MAX_BYTES} bytes")
        try:
            template = decode_template(content)
            _check(template)
        except DocumentError as error:
            raise PromptFileError(1, str(error)) from None
        except FieldError as error:
            place = ".".join(map(str, error.path))
            problem = f"{place}: {error.problem}"
            raise PromptFileError(1, problem, forbidden=error.forbidden) from None
        digest = _hash(content, {})
        template = replace(
            template,
            id=ref.id,
            version=choice.version or template.version or digest[:_VERSION_DIGITS],
            environment=choice.environment,
            content_sha256=template.content_sha256 or digest,
            size=len(content),
            location=_location(choice),
        )
        return Content(template, digest)


def _location(choice: Choice) -> str:
    """Return the prompt's path with an ending, whichever of its versions is served."""
    return choice.place + ENDING


def _read_partials(reading: Reading, place: str, body: str) -> Mapping[str, str]:
    """Return the partials that a body includes, and those that they include.

    One that is not there is left to whoever renders: it may be included with text in its place.
    """
    partials: dict[str, str] = {}
    wanted = list(find_partials(body))
    size = 0
    for name in wanted:
        if len(wanted) > _MAX_PARTIALS:
            raise PromptFileError(1, f"expected at most {_MAX_PARTIALS} partials")
        for path in partials_at(place, name):
            file = reading.read(path, max_bytes=MAX_BYTES)
            if file is None:
                continue
            size += len(file.content)
            if size > MAX_BYTES:
                raise PromptFileError(1, f"expected at most {MAX_BYTES} bytes of partials")
            try:
                partials[name] = decode_text(file.content)
            except PromptFileError as error:
                raise PromptFileError(1, f"partial {name!r}: {error.problem}") from None
            wanted += [each for each in find_partials(partials[name]) if each not in wanted]
            break
    return partials


def _hash(content: bytes, partials: Mapping[str, str]) -> str:
    """Return the hash of a file, and of the partials where it has some."""
    digest = hashlib.sha256(content)
    for name, text in sorted(partials.items()):
        digest.update(f"\0{name}\0{hashlib.sha256(text.encode()).hexdigest()}".encode())
    return digest.hexdigest()


def _check(template: Template) -> None:
    """Refuse what no other format could say either. Raises `FieldError`."""
    fields = _plain(template.parameters)
    assert isinstance(fields, dict)
    read_parameters({**fields, "other": fields.pop("extra")})
    read_integer(fields, "top_k")
    read_tools(_plain(template.tools), ("tools",))
    check_nesting(_plain(template.defaults), ("defaults",))
    check_nesting(_plain(template.schema), ("schema",))
    if template.language == HANDLEBARS:
        kinds = [type(part) for message in template.messages for part in message.content]
        if len(template.messages) != 1 or kinds != [Text]:
            raise FieldError(("messages",), "expected one text, as a dotprompt is")


def _plain(value: object) -> Json:
    return decode_json(msgspec.json.encode(value))


def _moment(seconds: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        # A file may say that it was written when no calendar has a date.
        return None
