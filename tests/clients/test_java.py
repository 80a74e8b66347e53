"""The Java client: what its page says, and the package beside what the conformance suite asks."""

import shutil
import textwrap
import zipfile
from collections.abc import Callable

import pytest

import prompt_resolver
from tests.support.building import CLIENTS, BuiltClient
from tests.support.documents import Document

JAVA = CLIENTS / "java"
PAGE = Document(JAVA / "README.md")


@pytest.fixture
def built(require_all: bool, build_client: Callable[[str, str], BuiltClient]) -> BuiltClient:
    """The client, built in a copy of the tree."""
    if shutil.which("mvn") is None:
        report = pytest.fail if require_all else pytest.skip
        report("not installed: mvn")
    return build_client("java", "mvn -q test-compile")


@pytest.mark.foreign
@pytest.mark.timeout(600)
def test_package(built: BuiltClient) -> None:
    """The package passes its own tests, and has the client and the stubs, but no program."""
    done = built.sh("mvn -q verify")

    assert done.returncode == 0, done.stdout + done.stderr
    (package,) = (built.place / "target").glob("prompt-resolver-client-*.jar")
    names = zipfile.ZipFile(package).namelist()
    assert "dev/promptresolver/PromptResolverClient.class" in names
    assert "dev/promptresolver/v1/ResolveRequest.class" in names
    assert not [name for name in names if "/example/" in name or "/conformance/" in name]


def test_page_is_compiled() -> None:
    """All code of the page is code of the example's folder, which is compiled."""
    sources = "\n".join(path.read_text() for path in sorted((JAVA / "example").rglob("*.java")))
    code = [block.text for block in PAGE.blocks if block.language == "java"]

    assert len(code) > 5
    for text in code:
        assert textwrap.indent(text, "    ") in sources


def test_version() -> None:
    """The package has the version of the service, and the page tells it."""
    version = f"<version>{prompt_resolver.__version__}</version>"
    (dependency,) = (block.text for block in PAGE.blocks if block.language == "xml")

    artifact = "<artifactId>prompt-resolver-client</artifactId>\n  "
    assert artifact + version in (JAVA / "pom.xml").read_text()
    assert artifact + version in dependency
