"""Templates as JSON documents of our own, which hold all that a template may be.

They are what copies of templates are kept in, on disk and between replicas, and what a `directory`
serves where no other format can say the same. Fields that a later version adds are passed over by
an earlier one, and those that it takes away are not written any more.
"""

from typing import Literal

import msgspec

from ...domain.prompts import Template
from ...domain.values import Value


class _Document(Value, frozen=True, kw_only=True):
    format: Literal[1] = 1
    template: Template


class DocumentError(Exception):
    """What is no document of a template, or one of a format that this version does not read."""


_ENCODER = msgspec.json.Encoder(order="deterministic")
_DECODER = msgspec.json.Decoder(_Document)


def encode_template(template: Template) -> bytes:
    """Return a template's document: the same bytes for equal templates."""
    return _ENCODER.encode(_Document(template=template))


def decode_template(document: bytes) -> Template:
    """Return the template of a document. Raises `DocumentError`."""
    try:
        return _DECODER.decode(document).template
    except (ValueError, RecursionError):
        raise DocumentError("expected the document of a template") from None
