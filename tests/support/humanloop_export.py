"""Export trees, as Humanloop's official tool writes them."""

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.support.humanloop import Document, HumanloopApi, StoredPrompt

LONG_AGO = 1_000_000_000


def write_export(folder: Path, prompts: Iterable[StoredPrompt]) -> Path:
    """Write an export of prompts that were stored in the stand-in for the API."""
    (folder / "files").mkdir(parents=True, exist_ok=True)
    for prompt in prompts:
        versions = {version: prompt.document(version) for version in prompt.versions}
        listed = prompt.deployed.get("production") or next(iter(versions))
        write_file(folder, versions[listed], versions)
    return folder


def write_file(
    folder: Path,
    record: Document,
    versions: Mapping[str, Document] | None = None,
    *,
    done: bool = True,
) -> Path:
    """Write one file of an export, in place of what is there of it, and return its folder."""
    path = folder / "files" / str(record["id"])
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    (path / "file.json").write_text(json.dumps(record))
    if versions:
        (path / "versions").mkdir()
        for version, document in versions.items():
            (path / "versions" / version).write_text(json.dumps(document))
        write_deployments(path, versions)
    if done:
        (path / ".done").write_text("Export completed successfully.\n")
    return path


def write_deployments(path: Path, versions: Mapping[str, Document]) -> None:
    """Write which version is deployed where, as the versions themselves say."""
    rows = [
        {
            "version_id": version,
            "environment_id": environment["id"],
            "environment_name": environment["name"],
            "environment_tag": environment["tag"],
        }
        for version, document in versions.items()
        for environment in _environments(document)
    ]
    (path / "deployments.json").write_text(json.dumps(rows))


def _environments(document: Document) -> list[Document]:
    environments = document.get("environments", [])
    assert isinstance(environments, list)
    return environments


def tool_record(tool_id: str, path: str, **fields: object) -> Document:
    """Return what the API lists of a snippet tool."""
    return {
        "id": tool_id,
        "path": path,
        "name": path.rpartition("/")[2],
        "type": "tool",
        "tool_type": "snippet",
        "version_id": "tlv_1",
        **fields,
    }


def two_prompts() -> HumanloopApi:
    """Return the stand-in with `Team/Hi`, deployed to two environments, and `Other`."""
    api = HumanloopApi()
    api.put("Team/Hi", prompt_id="pr_1", version="prv_1", to="staging", template="one")
    api.put("Team/Hi", prompt_id="pr_1", version="prv_2", template="two")
    api.put("Other", prompt_id="pr_2", template=[{"role": "user", "content": "three"}])
    return api


def age(folder: Path) -> None:
    """Have everything in a folder look as if it had been written long ago."""
    for path, folders, names in os.walk(folder):
        for name in (*folders, *names, "."):
            os.utime(os.path.join(path, name), (LONG_AGO, LONG_AGO), follow_symlinks=False)
