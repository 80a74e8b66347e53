"""What may be wrong with the files that stand beside prompts."""

from ...domain.errors import Reason, ResolverError
from ...domain.prompts import PromptRef
from ...templates.directory.records import read_deployments, read_ids
from ...templates.directory.store import DirectoryStore
from ...templates.formats.prompt_file import PromptFileError
from .findings import Findings, Place
from .source import Source

_ABSENT = (Reason.PROMPT_NOT_FOUND, Reason.PROMPT_ID_INVALID)


async def check_deployments(
    source: Source, prompt_id: str, store: DirectoryStore, findings: Findings
) -> None:
    """Check that a prompt's deployments are of versions that are there."""
    try:
        deployments = read_deployments(source.content)
    except PromptFileError as error:
        findings.add("deployments-invalid", error.problem, Place(error.line))
        return
    for name, version in deployments.environments.items():
        try:
            await store.fetch(PromptRef(id=prompt_id, version=version), None)
        except ResolverError as error:
            # One that is broken is told where it is checked itself.
            if error.reason in (Reason.VERSION_NOT_FOUND, *_ABSENT):
                findings.add(
                    "deployment-missing",
                    f"{name}: expected a version that is there, got {version!r}",
                    source.find_key(name),
                )


async def check_ids(source: Source, store: DirectoryStore, findings: Findings) -> None:
    """Check that further ids are those of prompts that are there."""
    try:
        ids = read_ids(source.content)
    except PromptFileError as error:
        findings.add("ids-invalid", error.problem, Place(error.line))
        return
    for name, path in ids.items():
        try:
            await store.fetch(PromptRef(id=path), None)
        except ResolverError as error:
            # Of a prompt that is there, nothing need be served without a selector.
            if error.reason in _ABSENT:
                findings.add(
                    "id-dangling",
                    f"{name}: expected a prompt that is there, got {path!r}",
                    source.find_key(name),
                )
