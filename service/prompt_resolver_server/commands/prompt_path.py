"""Which prompt of which directory a file is, as the `directory` store names them."""

from pathlib import Path
from typing import NamedTuple

from ..domain.prompts import PromptRef
from ..templates.directory.layout import DOCUMENT_ENDING, ENDING, versions_of

_ENDINGS = (DOCUMENT_ENDING, ENDING)
_VERSIONS = versions_of("")


class PromptPath(NamedTuple):
    """The root of a directory, and the prompt in it that a file holds, or one version of it."""

    root: Path
    ref: PromptRef


def locate(path: Path, root: Path | None = None) -> PromptPath | None:
    """Return which prompt a file is below a root, by default the folder of the prompt.

    None where its name is none of a prompt's.
    """
    folder, name = path.parent, path.name
    stem = next((name.removesuffix(end) for end in _ENDINGS if name.endswith(end)), "")
    if not stem:
        return None
    place, version = path.with_name(stem), None
    if folder.name.endswith(_VERSIONS) and folder != root:
        place, version = folder.with_name(folder.name.removesuffix(_VERSIONS)), stem
    root = root or place.parent
    return PromptPath(root, PromptRef(id=place.relative_to(root).as_posix(), version=version))
