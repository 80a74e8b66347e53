"""The Go client's package is as its tools want it, and its stubs are those of the contract."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.building import CLIENTS, BuiltClient

STUBS = "promptresolverv1"


@pytest.fixture(scope="module")
def generated(require_all: bool, build_client: Callable[[str, str], BuiltClient]) -> BuiltClient:
    """The package, with stubs generated anew by the documented command."""
    if shutil.which("go") is None:
        report = pytest.fail if require_all else pytest.skip
        report("not installed: go")
    return build_client("go", f"rm -r {STUBS} && buf generate")


def test_command_is_documented() -> None:
    """The command that generates the stubs is the one that the package's page tells."""
    assert "\nbuf generate\n" in (CLIENTS / "go" / "README.md").read_text()


def test_page() -> None:
    """The code of the package's page is in the examples, which are compiled."""
    page = (CLIENTS / "go" / "README.md").read_text()
    examples = _unindented((CLIENTS / "go" / "example_test.go").read_text())

    shown = [_unindented(block) for block in re.findall(r"```go\n(.*?)```", page, re.DOTALL)]

    assert shown
    assert [block for block in shown if block not in examples] == []


def _unindented(code: str) -> str:
    return re.sub(r"^\t+", "", code, flags=re.MULTILINE)


@pytest.mark.foreign
@pytest.mark.timeout(600)
def test_stubs(generated: BuiltClient) -> None:
    """The stubs that are committed are what the command generates."""
    committed = {file.name: file.read_text() for file in (CLIENTS / "go" / STUBS).iterdir()}

    anew = {file.name: file.read_text() for file in (generated.place / STUBS).iterdir()}

    assert anew == committed


@pytest.mark.foreign
@pytest.mark.timeout(600)
@pytest.mark.parametrize("command", ["gofmt -l .", "go vet ./...", "go mod tidy -diff"])
def test_form(generated: BuiltClient, command: str) -> None:
    """Go's tools find nothing: the form, what is likely wrong, and the modules that are named."""
    done = generated.sh(command)

    # Where it downloads something, it says so beside.
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@pytest.mark.foreign
@pytest.mark.timeout(600)
def test_package(generated: BuiltClient) -> None:
    """The package passes its own tests."""
    done = generated.sh("go test ./...")

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.foreign
@pytest.mark.timeout(600)
def test_installation(generated: BuiltClient, tmp_path: Path) -> None:
    """A program with a module of its own has the package by the commands of the package's page."""
    page = (CLIENTS / "go" / "README.md").read_text()
    install = page.partition("## Install")[2].partition("```sh\n")[2].partition("```")[0]
    checkout = str(generated.place.parents[1])
    shutil.copy(CLIENTS / "go" / "example" / "main.go", tmp_path)
    program = BuiltClient(tmp_path)

    commands = install.replace("PATH/TO/CHECKOUT", checkout)
    done = program.sh(f"set -e; go mod init example.com/desk; {commands} go vet .")

    assert done.returncode == 0, done.stdout + done.stderr
