"""Where the files of a prompt are, by their names below the root.

    <id>.prompt                      the prompt, in one version; <id>.prompt.json as a document
    <id>.versions/<version>.prompt   one of several versions, or <version>.prompt.json
    <id>.deployments.yaml            which version is deployed to which environment
    _<name>.prompt                   a partial of dotprompts
    ids.yaml                         in the root: further ids, and the prompts that they are of

Names that begin with a dot are no part of the tree.
"""

from ...domain.errors import CallError
from ..store import check_path_id

ENDING = ".prompt"
"""What the names of prompts' files end in."""

DOCUMENT_ENDING = ".prompt.json"
"""What the names of documents end in, which hold a template as this service writes it."""

IDS = "ids.yaml"
"""The name of the file of further ids."""

_VERSIONS = ".versions"
_DEPLOYMENTS = ".deployments.yaml"


def find_place(prompt_id: str, *, store: str) -> str | None:
    """Return the place of a prompt: what the names of its files begin with.

    None where no file of this tree could be of that id. Raises PROMPT_ID_INVALID.
    """
    *folders, name = check_path_id(prompt_id, store=store)
    if any(_is_hidden(each) or each.endswith(_VERSIONS) for each in folders):
        return None
    if _is_hidden(name) or name.startswith("_"):
        return None
    return prompt_id


def find_name(file: str) -> str | None:
    """Return the name of the prompt that a file is of, by the file's name in its folder."""
    for ending in (ENDING, DOCUMENT_ENDING, _DEPLOYMENTS):
        name = file.removesuffix(ending)
        if name and name != file and not _is_hidden(name) and not name.startswith("_"):
            return name
    return None


def is_folder_of_prompts(name: str) -> bool:
    """Tell whether a folder is looked into for prompts, by its name."""
    return not _is_hidden(name) and not name.endswith(_VERSIONS)


def files_at(place: str) -> tuple[str, ...]:
    """Return the files that may be there of a prompt, or of a version of it, at its place."""
    return (place + ENDING, place + DOCUMENT_ENDING)


def deployments_of(place: str) -> str:
    """Return the file that tells what is deployed of a prompt."""
    return place + _DEPLOYMENTS


def versions_of(place: str) -> str:
    """Return the folder of a prompt's versions."""
    return place + _VERSIONS


def version_at(place: str, version: str) -> str | None:
    """Return the place of a version, or None where no file could be of that name."""
    if "/" in version or not _is_name(version):
        return None
    return f"{versions_of(place)}/{version}"


def version_in(file: str) -> str | None:
    """Return the version that a file is of, by the file's name in its folder."""
    for ending in (ENDING, DOCUMENT_ENDING):
        version = file.removesuffix(ending)
        if version != file and _is_name(version):
            return version
    return None


def partials_at(place: str, name: str) -> tuple[str, ...]:
    """Return the files that may be a partial of a prompt: in its own folder, or in the root."""
    if not _is_name(name):
        return ()
    folder, slash, last = name.rpartition("/")
    file = f"{folder}{slash}_{last}{ENDING}"
    own, slash, _ = place.rpartition("/")
    return tuple(dict.fromkeys((f"{own}{slash}{file}", file)))


def _is_hidden(name: str) -> bool:
    return name.startswith(".")


def _is_name(path: str) -> bool:
    """Tell whether a path that somebody else wrote leads to nothing but files of this tree."""
    try:
        segments = check_path_id(path, store="")
        path.encode()
    except (CallError, UnicodeEncodeError):
        return False
    return not any(map(_is_hidden, segments))
