"""`prompt-resolver lint` tells what is wrong with files, in three forms, by its exit code."""

import json
from pathlib import Path

import pytest

from prompt_resolver_server.assembly.stores import EXAMPLES
from prompt_resolver_server.commands.lint.command import main
from tests.support.prompts import write_prompt
from tests.support.service import run_cli

GOOD = "<user>\nHi {{name}}\n</user>"
ODD = "<user>\nHi {{my-name}}\n</user>"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    write_prompt(tmp_path, "team/good", GOOD)
    write_prompt(tmp_path, "team/odd", ODD)
    write_prompt(tmp_path, "broken", GOOD, temperature="hot")
    return tmp_path


def test_says_what_is_wrong(tree: Path) -> None:
    """Each finding is a line that begins as a compiler's does; the last line sums up."""
    done = run_cli("lint", str(tree))

    assert (done.returncode, done.stderr) == (1, "")
    first, second, last = done.stdout.splitlines()
    assert first == (
        f"{tree}/broken.prompt:5: error: temperature: expected a number, got text"
        " [template-invalid]"
    )
    assert second == (
        f"{tree}/team/odd.prompt:7:4: warning: {{{{my-name}}}} is text and comes out as it stands;"
        " a variable is {{name}}: letters, digits, '_' and '.', and at most one space at each end"
        " [variable-literal]"
    )
    assert last == "3 files: 1 error, 1 warning"


def test_examples_are_clean(capsys: pytest.CaptureFixture[str]) -> None:
    """Where nothing is wrong that is said, and the exit code is 0."""
    assert main([str(EXAMPLES), "--strict"]) == 0
    assert capsys.readouterr().out == "4 files: nothing found\n"


def test_exit_codes(tree: Path) -> None:
    """A warning counts with `--strict`, a note never does."""
    note = write_prompt(tree, "note", GOOD, model=None)

    assert main([str(tree / "team")]) == 0
    assert main([str(tree / "team"), "--strict"]) == 1
    assert main([str(note), "--strict"]) == 0


def test_json(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--output json` has the counts and every finding, whole."""
    assert main([str(tree), "--output", "json"]) == 1

    report = json.loads(capsys.readouterr().out)
    first, second = report.pop("findings")
    assert report == {"files": 3, "errors": 1, "warnings": 1, "notes": 0}
    assert first == {
        "path": f"{tree}/broken.prompt",
        "line": 5,
        "column": None,
        "severity": "error",
        "code": "template-invalid",
        "message": "temperature: expected a number, got text",
    }
    assert (second["line"], second["column"]) == (7, 4)


def test_github(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--output github` makes annotations of the findings, with what GitHub wants escaped."""
    path = write_prompt(tree, "a,b", "<user>\n{{5%}}\n</user>")

    assert main([str(path), "--output", "github"]) == 0

    first, _ = capsys.readouterr().out.splitlines()
    assert first.startswith(
        f"::warning file={tree}/a%2Cb.prompt,line=7,col=1,title=variable-literal::{{{{5%25}}}} is"
    )


def test_one_path_twice(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is named twice is checked once."""
    assert main([str(tree / "team"), str(tree / "team" / "odd.prompt")]) == 0
    assert capsys.readouterr().out.endswith("2 files: 1 warning\n")


def test_folders_without_prompts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder without prompts, such as one whose name is mistyped, is none where all is well."""
    (tmp_path / "README.md").write_text("nonsense")

    assert main([str(tmp_path)]) == 2
    assert f"{tmp_path}: expected prompts below it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["/nowhere"], "/nowhere: expected a readable path: No such file or directory"),
        ([__file__], "expected a name that ends in .prompt, .prompt.json or .deployments.yaml"),
        ([str(EXAMPLES), "--root", "/nowhere"], "expected a path below /nowhere"),
    ],
)
def test_paths_that_cannot_be_checked(
    capsys: pytest.CaptureFixture[str], arguments: list[str], problem: str
) -> None:
    """A path that leads nowhere, or to no prompt, ends with 2."""
    assert main(arguments) == 2
    assert problem in capsys.readouterr().err


def test_terminals_are_not_talked_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a file has in it for the terminal does not get there."""
    write_prompt(tmp_path, "p", "<user>\n{{\x1b[2J}}\n</user>")

    main([str(tmp_path)])

    assert "\x1b" not in capsys.readouterr().out
