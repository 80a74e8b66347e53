"""The files that a prompt becomes in a directory."""

import hashlib
import re
from collections.abc import Mapping

import msgspec
import yaml
from msgspec.structs import replace

from ...domain.prompts import Template
from ...strict_yaml.scalars import NUMBER, NUMBERS_BEGIN_WITH
from ...templates.directory.layout import (
    DOCUMENT_ENDING,
    ENDING,
    deployments_of,
    versions_of,
)
from ...templates.formats.documents import encode_template
from ...templates.formats.humanloop_writer import write_prompt_file
from .collected import Collected
from .names import NameRefusedError, check_path, check_version, fold

_ENDINGS = (ENDING, DOCUMENT_ENDING, deployments_of(""))
_VERSION_DIGITS = 12


class _Dumper(yaml.SafeDumper):
    """Puts text in quotes which YAML 1.1 takes for something else; and what YAML 1.2 does, too."""


# Such as the beginning of a hash that is digits but for one `e`.
_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(rf"(?:{NUMBER.pattern})\Z"), list(NUMBERS_BEGIN_WITH)
)


def lay_out(prompt: Collected) -> dict[str, bytes]:
    """Return the content of each of a prompt's files, by its path below the root.

    Versions come first, and last what says which of them are served. Raises `NameRefusedError`.
    """
    check_path(prompt.path)
    files: dict[str, bytes] = {}
    served = prompt.served if prompt.default is None else None
    deployed = frozenset(prompt.environments.values())
    for name, template in sorted(prompt.versions.items()):
        check_version(name)
        if served is None or name != served.version or name in deployed:
            files |= _write_version(prompt.path, name, template)
    if len({fold(path) for path in files}) < len(files):
        raise NameRefusedError("expected versions whose names differ in more than their case")
    if served is not None:
        files |= _write_served(prompt.path, served)
    if prompt.environments:
        files[deployments_of(prompt.path)] = write_deployments(prompt)
    return files


def alternatives(path: str) -> tuple[str, ...]:
    """Return the other files that would have a say in what a file is served as."""
    for ending in _ENDINGS:
        if path.endswith(ending):
            stem = path.removesuffix(ending)
            return tuple(stem + other for other in _ENDINGS if other != ending)
    return ()


def write_deployments(prompt: Collected) -> bytes:
    """Return the file that says which version each environment has."""
    default = {} if prompt.default is None else {"default": prompt.default}
    return write_yaml({**default, "environments": dict(sorted(prompt.environments.items()))})


def write_yaml(value: Mapping[str, object]) -> bytes:
    """Return a mapping as YAML."""
    text = _dump(value, escape=False)
    # What separates lines in YAML 1.1, and is none of ASCII's, is written plainly, and its readers
    # take it for a space.
    return (text if text.replace("\n", "").isprintable() else _dump(value, escape=True)).encode()


def _dump(value: Mapping[str, object], *, escape: bool) -> str:
    text: str = yaml.dump(dict(value), Dumper=_Dumper, allow_unicode=not escape, sort_keys=False)
    return text


def _write_version(path: str, version: str, template: Template) -> dict[str, bytes]:
    stem = f"{versions_of(path)}/{version}"
    content = write_prompt_file(template)
    if content is None or template.name != path.rpartition("/")[2]:
        return {f"{stem}{DOCUMENT_ENDING}": _write_document(path, template)}
    return {f"{stem}{ENDING}": content}


def _write_served(path: str, template: Template) -> dict[str, bytes]:
    content = write_prompt_file(template)
    # The version of a file that stands alone is the beginning of its hash.
    if content is None or hashlib.sha256(content).hexdigest()[:_VERSION_DIGITS] != template.version:
        return {path + DOCUMENT_ENDING: _write_document(path, template)}
    return {path + ENDING: content}


def _write_document(path: str, template: Template) -> bytes:
    """Return a template's document, without what its place and its size in the store were."""
    location = path + ENDING
    document = encode_template(
        replace(template, id=path, location=location, environment="", size=0)
    )
    # In lines, as directories of prompts are kept where changes are compared by line.
    return msgspec.json.format(document, indent=1) + b"\n"
