"""The YAML files beside prompts: which versions are deployed, and which further ids there are."""

from collections.abc import Mapping
from typing import NamedTuple

from ...domain.parameters import Json, kind_of
from ...strict_yaml import Document, YamlError, parse
from ..files import LocalFile, Signature
from ..formats.prompt_file import PromptFileError, decode_text
from .layout import IDS
from .reading import Reading

MAX_RECORDS_BYTES = 256 * 1024
"""How large such a file may be: reading YAML holds up the whole interpreter."""


class Deployments(NamedTuple):
    """Which version is deployed to which environment, and which environment is the default one."""

    default: str | None
    environments: Mapping[str, str]

    def environment_of(self, version: str | None) -> str:
        """Return an environment that has a version, the default one first, or an empty name."""
        names = [name for name, each in self.environments.items() if each == version]
        return self.default if self.default in names else next(iter(names), "")


def read_deployments(content: bytes) -> Deployments:
    """Read a prompt's deployments: `default` and `environments`. Raises `PromptFileError`."""
    document = _read(content)
    fields = _mapping(document, document.value, ())
    for name in fields:
        if name not in ("default", "environments"):
            raise _fault(document, (name,), "expected `default` and `environments` alone")
    environments = {
        name: _version(document, version, ("environments", name))
        for name, version in _mapping(
            document, fields.get("environments"), ("environments",)
        ).items()
    }
    default = fields.get("default")
    if not isinstance(default, str | None) or (default is not None and default not in environments):
        raise _fault(document, ("default",), "expected the name of one of the environments")
    return Deployments(default, environments)


class Ids:
    """The further ids of a tree: read again where their file has changed."""

    def __init__(self) -> None:
        self._known: tuple[Signature | None, Mapping[str, str]] = (None, {})

    def find(self, reading: Reading, prompt_id: str) -> str | None:
        """Return the id of the prompt that another id is of. Raises `PromptFileError`."""
        file = reading.read(IDS, max_bytes=MAX_RECORDS_BYTES)
        return self._read(file).get(prompt_id) if file is not None else None

    def _read(self, file: LocalFile) -> Mapping[str, str]:
        signature, known = self._known
        if signature is None or signature != file.look.signature:
            known = read_ids(file.content)
            self._known = (file.look.signature, known)
        return known


def read_ids(content: bytes) -> Mapping[str, str]:
    """Read the file of further ids, such as `pr_123: Shop/Returns desk`.

    Raises `PromptFileError`.
    """
    document = _read(content)
    ids: dict[str, str] = {}
    for name, path in _mapping(document, document.value, ()).items():
        if not isinstance(path, str):
            raise _fault(document, (name,), f"expected the id of a prompt, got {kind_of(path)}")
        ids[name] = path
    return ids


def _read(content: bytes) -> Document:
    if len(content) > MAX_RECORDS_BYTES:
        raise PromptFileError(1, f"expected at most {MAX_RECORDS_BYTES} bytes")
    try:
        return parse(decode_text(content), aliases=False)
    except YamlError as error:
        raise PromptFileError(error.line, error.message) from None


def _mapping(document: Document, value: Json, path: tuple[str, ...]) -> Mapping[str, Json]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _fault(document, path, f"expected a mapping, got {kind_of(value)}")
    return value


def _version(document: Document, value: Json, path: tuple[str, ...]) -> str:
    # What is read as a number, such as 010 or 1.10, may have been written otherwise.
    if not isinstance(value, str) or not value:
        problem = f"expected a version as text, in quotes, got {kind_of(value)}"
        raise _fault(document, path, problem)
    return value


def _fault(document: Document, path: tuple[str, ...], problem: str) -> PromptFileError:
    place = ".".join(path)
    return PromptFileError(document.line(path), f"{place}: {problem}" if place else problem)
