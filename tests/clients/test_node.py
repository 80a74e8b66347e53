"""The Node package as its users have it: installed from its archive, and used as its page shows."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.building import CLIENTS, BuiltClient
from tests.support.npm import install_archive, sh
from tests.support.service import service_process

PAGE = (CLIENTS / "node" / "README.md").read_text()
COMPILER = {"module": "nodenext", "target": "es2022", "types": ["node"], "strict": True}
SEED = """
import { PromptResolverClient } from 'prompt-resolver';

const client = new PromptResolverClient();
const { parameters } = await client.resolve({
  prompt: { id: 'support/reply' },
  variables: { company: '', customer_name: '', order_id: '', message: '' },
  parameters: { seed: 9007199254740993n },
});
console.log(`seed: ${parameters?.seed}`);
client.close();
"""
CLOSED = """
import { PromptResolverClient } from 'prompt-resolver';

const client = new PromptResolverClient();
const events = client.watch({ prompts: [{ id: 'support/reply' }] });
await events.next();
client.close();
await events.next().catch((error) => console.log(`${error.code}: ${error.message}`));
"""

pytestmark = [pytest.mark.foreign, pytest.mark.timeout(600)]


def read_program(page: str) -> str:
    """Return the blocks of TypeScript of a page, which continue each other, as a program."""
    return "\n".join(re.findall(r"^```ts\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))


@pytest.fixture(scope="module")
def package(require_all: bool, build_client: Callable[[str, str], BuiltClient]) -> BuiltClient:
    """The package, built in a copy of the tree."""
    missing = [tool for tool in ("npm", "node") if shutil.which(tool) is None]
    if missing:
        report = pytest.fail if require_all else pytest.skip
        report(f"not installed: {', '.join(missing)}")
    return build_client("node", "npm ci && npm run build")


@pytest.fixture(scope="module")
def project(package: BuiltClient, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of a user's, with programs that are compiled there."""
    built = package.place
    place = tmp_path_factory.mktemp("project")
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(built / name, place)
    # What an installation of the archive has beside it, in the versions of the lock.
    sh("npm ci --silent --omit=dev", place)
    install_archive(built, place)
    (place / "package.json").write_text(json.dumps({"private": True, "type": "module"}))
    (place / "tsconfig.json").write_text(json.dumps({"compilerOptions": COMPILER}))
    used, secured = PAGE.split("\n## TLS and tokens\n")
    (place / "used.ts").write_text(read_program(used))
    (place / "whole.ts").write_text(read_program(used + secured))
    (place / "seed.ts").write_text(SEED)
    (place / "closed.ts").write_text(CLOSED)
    sh(f"{built}/node_modules/.bin/tsc", place)
    return place


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The address of a service that has no configuration."""
    with service_process() as service:
        yield service.address


def test_page(project: Path, address: str) -> None:
    """What the page shows is strict TypeScript for the package's types, and does what it says."""
    said = sh("node used.js", project, PROMPT_RESOLVER_ADDRESS=address)

    assert "gpt-4o-mini 2\n" in said
    assert "Ada writes about order A-1001:" in said
    assert "INVALID_ARGUMENT VARIABLES_INVALID\nvariables.company missing\n" in said
    assert "CANCELLED\n1 support/reply " in said


def test_integers(project: Path, address: str) -> None:
    """An integer that a number of JavaScript's could not hold goes there and back as it is."""
    said = sh("node seed.js", project, PROMPT_RESOLVER_ADDRESS=address)

    assert said == "seed: 9007199254740993\n"


def test_end(project: Path, address: str) -> None:
    """A program ends once its client is closed, though it watched."""
    said = sh("node closed.js", project, PROMPT_RESOLVER_ADDRESS=address)

    assert said == "CANCELLED: the client is closed\n"


def test_package(package: BuiltClient) -> None:
    """The package passes its own tests."""
    done = package.sh("npm test")

    assert done.returncode == 0, done.stdout + done.stderr


def test_what_it_brings_along(project: Path) -> None:
    """The archive has the modules and their types, and no sources, tests or tools."""
    installed = project / "node_modules" / "prompt-resolver"
    files = {path.relative_to(installed).as_posix() for path in installed.rglob("*.*")}

    assert {"README.md", "package.json", "dist/src/index.js", "dist/src/index.d.ts"} <= files
    assert all(name.endswith((".js", ".d.ts", ".json", ".md")) for name in files)
    assert not (project / "node_modules" / "typescript").exists()
