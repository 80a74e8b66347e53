"""Every kind of store can be copied from."""

from pathlib import Path

import pytest

from prompt_resolver_server.domain.prompts import Placeholder, PromptRef
from prompt_resolver_server.templates.directory.store import DirectoryStore
from tests.support.langfuse import PUBLIC_KEY, SECRET_KEY, StoredPrompt, running_langfuse
from tests.support.prompts import write_prompt
from tests.support.pulling import make_copier, pull
from tests.support.service import running_service
from tests.support.subjects.subject import MakeSubject
from tests.templates.test_store_contract import SUBJECTS


@pytest.mark.parametrize("make", SUBJECTS, ids=lambda make: str(make.__name__))
async def test_any_store(make: MakeSubject, tmp_path: Path) -> None:
    """What is copied from a store is served as the store does, by the store's own id."""
    (tmp_path / "source").mkdir()
    async with make(tmp_path / "source") as subject:
        served = await subject.store.fetch(PromptRef(id=subject.prompt_id), None)
        copier = make_copier(subject.store, tmp_path / "copy")
        assert await copier.run([subject.prompt_id])

    store = DirectoryStore(name="copy", root=tmp_path / "copy")
    copied = await store.fetch(PromptRef(id=subject.prompt_id), None)
    assert (copied.version, copied.environment) == (served.version, served.environment)
    assert copied.messages == served.messages
    await store.aclose()


async def test_langfuse(tmp_path: Path) -> None:
    """Langfuse's prompts come with all versions, labels and placeholders, by its own variables."""
    async with running_langfuse() as api:
        prompt = api.prompts["team/hello"] = StoredPrompt("team/hello")
        prompt.versions[1] = {"prompt": "Hi {{ name }}"}
        prompt.versions[2] = {
            "type": "chat",
            "prompt": [
                {"role": "system", "content": "Be brief."},
                {"type": "placeholder", "name": "history"},
            ],
            "config": {"model": "gpt-4o", "temperature": 0.2},
        }
        prompt.labels |= {"production": 1, "latest": 2}
        variables = {
            "LANGFUSE_PUBLIC_KEY": PUBLIC_KEY,
            "LANGFUSE_SECRET_KEY": SECRET_KEY,
            "LANGFUSE_HOST": api.url,
        }
        done = await pull("--store", "langfuse", "--into", str(tmp_path), environ=variables)

    assert (done.code, done.out) == (0, f"{tmp_path}: 1 written\n")
    store = DirectoryStore(name="copy", root=tmp_path)
    served = await store.fetch(PromptRef(id="team/hello"), None)
    latest = await store.fetch(PromptRef(id="team/hello", environment="latest"), None)
    assert (served.version, served.environment, served.language) == ("1", "production", "langfuse")
    assert latest.placeholders == (Placeholder("history", 1),)
    assert (latest.model, latest.parameters.temperature) == ("gpt-4o", 0.2)
    await store.aclose()


async def test_service_of_our_own(tmp_path: Path) -> None:
    """A prompt with versions and deployments comes from a service's `/v5` as it is there."""
    source, copy = tmp_path / "source", tmp_path / "copy"
    for version in ("v1", "v2"):
        write_prompt(source, f"orders.versions/{version}", f"<user>\n{version}\n</user>")
    deployments = "default: production\nenvironments: {production: v1, staging: v2}\n"
    source.joinpath("orders.deployments.yaml").write_text(deployments)
    config = f"""
stores: {{local: {{type: directory, path: {source}}}}}
"""
    async with running_service(tmp_path, config) as service:
        address = f"{service.http_url}/v5"
        pulling = tmp_path / "pull.yaml"
        pulling.write_text(
            f"stores: {{own: {{type: humanloop, base_url: '{address}', api_key: x}}}}"
        )
        given = ("--config", str(pulling), "--store", "own", "--into")
        done = await pull(*given, str(copy))
        few = await pull(*given, str(tmp_path / "few"), "--environment", "production")

    assert (done.code, done.out) == (0, f"{copy}: 1 written\n"), done
    store = DirectoryStore(name="copy", root=copy)
    for environment, version in ((None, "v1"), ("production", "v1"), ("staging", "v2")):
        served = await store.fetch(PromptRef(id="orders", environment=environment), None)
        assert served.version == version
    await store.aclose()
    assert few.code == 0
    deployments = (tmp_path / "few" / "orders.deployments.yaml").read_text()
    assert deployments == "default: production\nenvironments:\n  production: v1\n"
