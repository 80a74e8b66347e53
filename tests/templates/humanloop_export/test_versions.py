"""An export's versions are read as they were exported, or it is told what is wrong with them."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from prompt_resolver_server.domain.errors import ResolverError
from prompt_resolver_server.domain.prompts import PromptRef, Template
from prompt_resolver_server.templates.files import Root
from prompt_resolver_server.templates.humanloop_export.index import read_index
from prompt_resolver_server.templates.humanloop_export.versions import Versions
from tests.support.humanloop import HumanloopApi
from tests.support.humanloop_export import tool_record, two_prompts, write_export, write_file
from tests.support.nobody import as_nobody, open_folder
from tests.support.opened import files_opened

PERSONAS = {"helpful": "You help.", "grumpy": "You are {{mood}}."}


@pytest.fixture
def export(tmp_path: Path) -> Path:
    return write_export(tmp_path / "export", two_prompts().prompts.values())


def load(export: Path, prompt_id: str = "pr_1", **selector: str) -> Template:
    root = Root(export, store="old")
    ref = PromptRef(id=prompt_id, **selector)
    return Versions(root, store="old").load(read_index(root, str(export), None), ref).template


def failure(export: Path, prompt_id: str = "pr_1", **selector: str) -> ResolverError:
    with pytest.raises(ResolverError) as caught:
        load(export, prompt_id, **selector)
    assert caught.value.metadata["store"] == "old"
    return caught.value


def test_no_default(tmp_path: Path) -> None:
    """A prompt without a default version is served by selector, and says which there are."""
    api = HumanloopApi()
    for number in range(25):
        api.put("Hi", prompt_id="pr_1", version=f"prv_{number:02}", to="", template="x")
    api.put("Hi", prompt_id="pr_1", version="prv_07", to="staging", template="seven")
    write_export(tmp_path, api.prompts.values())

    error = failure(tmp_path)

    assert error.reason == "VERSION_NOT_FOUND"
    assert "has no default version; versions: 'prv_00', 'prv_01'" in error.message
    assert error.message.endswith("'prv_19' and 5 more; environments: 'staging' ('prv_07')")
    assert load(tmp_path, environment="staging").messages[0].text == "seven"


def test_unknown_version(export: Path) -> None:
    """Who asks for a version or an environment that is not there is told which are."""
    assert failure(export, version="prv_9").message == (
        "prompt 'pr_1' of store 'old' has no version 'prv_9'; versions: 'prv_1', 'prv_2'"
    )
    assert failure(export, environment="qa").message == (
        "prompt 'pr_1' of store 'old' has no environment 'qa'; versions: 'prv_1', 'prv_2';"
        " environments: 'production' ('prv_2'), 'staging' ('prv_1')"
    )


def test_no_versions(export: Path) -> None:
    """A prompt that never had a version has none to be served."""
    write_file(export, {"id": "pr_3", "type": "prompt", "path": "Empty"})

    error = failure(export, "Empty")

    assert error.reason == "VERSION_NOT_FOUND"
    assert error.message.endswith("; versions: none; environments: none")


def test_renamed_default_environment(tmp_path: Path) -> None:
    """The default environment is the one with the tag, whatever it is called."""
    api = two_prompts()
    document = api.prompts["pr_1"].document("prv_1")
    environment = {"id": "env_9", "name": "live", "tag": "default"}
    write_file(tmp_path, document, {"prv_1": {**document, "environments": [environment]}})

    assert load(tmp_path).environment == "live"
    assert load(tmp_path, environment="live").version == "prv_1"


def test_interrupted(export: Path) -> None:
    """A file whose export was interrupted is not served, by id or path, and it is said why."""
    (export / "files" / "pr_1" / ".done").unlink()

    for prompt_id in ("pr_1", "Team/Hi"):
        error = failure(export, prompt_id)
        assert error.reason == "STORE_UNAVAILABLE"
        assert "the export of it was interrupted, its .done is missing" in error.message
        # It is no failure of the store, which has others.
        assert error.metadata["problem"] == "unreadable"
    assert load(export, "pr_2").messages[0].text == "three"


def test_same_path(export: Path) -> None:
    """Two prompts with one path are refused by the path, with both ids, and served by these."""
    document = {**two_prompts().prompts["pr_1"].document("prv_1"), "id": "pr_3"}
    write_file(export, document, {"prv_1": document})

    error = failure(export, "Team/Hi")

    assert error.reason == "TEMPLATE_INVALID"
    assert error.message.endswith("expected one file at this path, got pr_1, pr_3")
    assert load(export, "pr_3", version="prv_1").id == "pr_3"


def test_what_is_no_prompt(export: Path) -> None:
    """A tool is no prompt, by its id or by its path."""
    write_file(export, tool_record("tl_1", "Team/snips"))

    for prompt_id in ("tl_1", "Team/snips"):
        error = failure(export, prompt_id)
        assert error.reason == "PROMPT_NOT_FOUND"
        assert error.message.endswith(": it is not a prompt")


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"id": "pr_2"}, "id: expected 'pr_1', as its name is"),
        ({"version_id": "prv_1"}, "version_id: expected 'prv_2', as its name is"),
        ({"model": None}, "model: expected text, got nothing"),
        ({"template": 7}, "template: expected text or a list of messages, got a number"),
        ({"template": [{"role": "judge"}]}, "template.0.role: expected one of"),
        ({"temperature": "secret"}, "temperature: expected a number, got text"),
    ],
)
def test_broken_version(export: Path, fields: Mapping[str, object], problem: str) -> None:
    """What is wrong with a version is told by its place, without what is there; others serve."""
    path = export / "files" / "pr_1" / "versions" / "prv_2"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))

    error = failure(export)

    assert error.reason == "TEMPLATE_INVALID"
    assert f"version 'prv_2', {problem}" in error.message
    assert "secret" not in error.message
    assert load(export, version="prv_1").messages[0].text == "one"


def test_forbidden(export: Path) -> None:
    """A version that asks for what a prompt may not have is told apart."""
    path = export / "files" / "pr_1" / "versions" / "prv_2"
    path.write_text(json.dumps({**json.loads(path.read_text()), "other": {"api_base": "x"}}))

    assert failure(export).reason == "TEMPLATE_FORBIDDEN"


@pytest.mark.parametrize("content", ["", "no", "[]", "[" * 100_000, " " * 10_000_000, None])
def test_version_that_is_no_document(export: Path, content: str | None) -> None:
    """A version that is no document, too long, nested without end or a pipe breaks its prompt."""
    path = export / "files" / "pr_1" / "versions" / "prv_2"
    path.unlink()
    if content is None:
        os.mkfifo(path)
    else:
        path.write_text(content)

    assert failure(export).reason == "TEMPLATE_INVALID"
    assert load(export, "pr_2").id == "pr_2"


@pytest.mark.parametrize("name", ["deployments.json", "versions", "versions/prv_2"])
def test_what_may_not_be_read(name: str) -> None:
    """A file that is there and may not be read is a failure of the store, not of the prompt."""
    with open_folder() as folder:
        export = write_export(folder, two_prompts().prompts.values())
        (export / "files" / "pr_1" / name).chmod(0)
        with as_nobody():
            error = failure(export)

    assert error.reason == "STORE_UNAVAILABLE"
    assert error.metadata["problem"] == "unreadable"
    assert error.message == "store 'old' cannot read the files of 'pr_1': Permission denied"


@pytest.mark.parametrize("name", ["files/pr_1", "files/pr_1/file.json"])
def test_what_may_not_be_known(name: str) -> None:
    """Where it may not be known what a file is, no path is told to be nobody's."""
    with open_folder() as folder:
        export = write_export(folder, two_prompts().prompts.values())
        (export / name).chmod(0)
        with as_nobody():
            errors = [failure(export, each) for each in ("pr_1", "Team/Hi", "Team/None")]
            absent = failure(export, "pr_none")
            other = load(export, "pr_2")
        (export / name).chmod(0o755)

    assert {error.reason for error in errors} == {"STORE_UNAVAILABLE"}
    assert {error.metadata["problem"] for error in errors} == {"unreadable"}
    assert (absent.reason, other.id) == ("PROMPT_NOT_FOUND", "pr_2")


def test_deployed_version_that_is_not_there(export: Path) -> None:
    """Where a version is deployed that is not there, nothing else is served in its place."""
    path = export / "files" / "pr_1" / "deployments.json"
    path.write_text(path.read_text().replace("prv_2", "../../pr_2/versions/prv_1"))

    error = failure(export)

    assert error.reason == "TEMPLATE_INVALID"
    assert error.message.endswith("expected a version that is there")


def test_links_out_are_not_followed(export: Path, tmp_path: Path) -> None:
    """A version, a folder of versions and a list of deployments that are elsewhere are not read."""
    outside = write_export(tmp_path / "outside", two_prompts().prompts.values()) / "files"
    (export / "files" / "pr_1" / "versions" / "prv_2").unlink()
    (export / "files" / "pr_1" / "versions" / "prv_2").symlink_to(outside / "pr_1/versions/prv_2")
    os.rename(export / "files" / "pr_2" / "versions", tmp_path / "versions")
    (export / "files" / "pr_2" / "versions").symlink_to(tmp_path / "versions")

    with files_opened() as files:
        version, folder = failure(export), failure(export, "pr_2", version="prv_1")
    (export / "files" / "pr_1" / "deployments.json").unlink()
    (export / "files" / "pr_1" / "deployments.json").symlink_to(outside / "pr_1/deployments.json")

    assert (version.reason, folder.reason) == ("TEMPLATE_INVALID", "VERSION_NOT_FOUND")
    assert failure(export).reason == "VERSION_NOT_FOUND"
    assert not any(str(outside) in name for name in files)


def prompt_with(export: Path, text: str) -> None:
    """Have the export's prompt say something else."""
    api = HumanloopApi()
    template = [
        {"role": "system", "content": text},
        {"role": "user", "content": [{"type": "text", "text": "{{question}}"}]},
    ]
    write_export(
        export, [api.put("Team/Hi", prompt_id="pr_1", template=template, model="some-model")]
    )


def test_snippets(export: Path) -> None:
    """A template has the texts of the tools that it refers to, in their default versions."""
    tool = tool_record("tl_1", "Team/personas", setup_values={"old": "Old."})
    deployed = {
        **tool,
        "version_id": "tlv_2",
        "setup_values": PERSONAS,
        "environments": [{"id": "e", "name": "production", "tag": "default"}],
    }
    write_file(export, tool, {"tlv_1": tool, "tlv_2": deployed})
    write_file(export, tool_record("tl_2", "rules", setup_values={"short": "Be short."}))
    write_file(export, tool_record("tl_3", "unused", setup_values={"a": "b"}))
    write_file(export, tool_record("tl_4", "google", tool_type="google"))
    prompt_with(export, '{{ personas(key) }} {{rules("short")}} {{ google("x") }} unused(x)')

    template = load(export)

    assert template.snippets == {"personas": PERSONAS, "rules": {"short": "Be short."}}


def test_snippets_that_may_not_be_known() -> None:
    """Where a tool may be one that may not be read, nobody gets its prompts without its texts."""
    with open_folder() as folder:
        export = write_export(folder, two_prompts().prompts.values())
        tool = write_file(export, tool_record("tl_1", "personas", setup_values=PERSONAS))
        prompt_with(export, "{{ personas(key) }}")
        tool.chmod(0)
        with as_nobody():
            error = failure(export)
        tool.chmod(0o755)

    assert (error.reason, error.metadata["problem"]) == ("STORE_UNAVAILABLE", "unreadable")


def test_snippets_are_content(export: Path) -> None:
    """A snippet that is changed makes another content of the same version, and is told by looks."""
    prompt_with(export, "{{ personas(key) }}")
    without = load(export)
    write_file(export, tool_record("tl_1", "personas", setup_values=PERSONAS))
    root = Root(export, store="old")
    before = Versions(root, store="old").load(
        read_index(root, str(export), None), PromptRef(id="pr_1")
    )
    write_file(export, tool_record("tl_1", "personas", setup_values={"helpful": "Other."}))
    after = load(export)

    assert before.template.snippets != after.snippets
    assert without.version == before.template.version == after.version
    digests = [each.content_sha256 for each in (without, before.template, after)]
    assert len(set(digests)) == 3
    assert str(export / "files" / "tl_1" / "file.json") in [look.path for look in before.looks]


@pytest.mark.parametrize("case", ["twice", "unfinished", "broken"])
def test_snippets_that_cannot_be_read(export: Path, case: str) -> None:
    """A tool that is ambiguous, unfinished or broken breaks the prompts that refer to it, alone."""
    write_file(
        export,
        tool_record("tl_1", "A/personas", setup_values=None if case == "broken" else PERSONAS),
        done=case != "unfinished",
    )
    if case == "twice":
        write_file(export, tool_record("tl_2", "B/personas", setup_values=PERSONAS))
    prompt_with(export, "{{ personas(key) }}")

    error = failure(export)

    reason, told = {
        "twice": ("TEMPLATE_INVALID", "expected one tool of this name, got tl_1, tl_2"),
        "unfinished": ("STORE_UNAVAILABLE", "the export of tool tl_1 was interrupted"),
        "broken": ("TEMPLATE_INVALID", "tool tl_1, expected texts by key in setup_values"),
    }[case]
    assert (error.reason, told in error.message) == (reason, True)
    assert load(export, "pr_2").snippets == {}
