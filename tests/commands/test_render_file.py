"""`prompt-resolver render` renders a prompt file by itself, as the service would."""

import json
from pathlib import Path

import pytest

from prompt_resolver_server.assembly.stores import EXAMPLES
from prompt_resolver_server.commands.render_file import main
from tests.support.prompts import write_prompt
from tests.support.service import ServiceProcess, run_cli, service_process

REPLY = str(EXAMPLES / "support" / "reply.prompt")
VALUES = {"company": "J", "customer_name": "A {{x}}", "order_id": "1", "message": "Where?"}
PAIRS = [text for name, value in VALUES.items() for text in ("--var", f"{name}={value}")]


def test_renders_as_the_service_does(tmp_path: Path) -> None:
    """`render --json` prints what `resolve --json` does of the same file."""
    config = tmp_path / "c.yaml"
    config.write_text(f"stores: {{file: {{type: directory, path: {EXAMPLES / 'support'}}}}}")

    with service_process("--config", str(config)) as service:
        resolved = resolve(service)
    rendered = run_cli("render", REPLY, *PAIRS, "--json")

    assert (rendered.returncode, rendered.stderr) == (0, "")
    response = json.loads(rendered.stdout)
    for each in (response, resolved):
        each["prompt"].pop("age", None)
    assert response == resolved


def resolve(service: ServiceProcess) -> dict[str, dict[str, object]]:
    done = run_cli(
        *("resolve", "reply", "--json", *PAIRS),
        environ={"PROMPT_RESOLVER_ADDRESS": service.address},
    )
    response: dict[str, dict[str, object]] = json.loads(done.stdout)
    return response


def test_shows_people_the_messages(capsys: pytest.CaptureFixture[str]) -> None:
    """Without `--json` it shows the messages, as `resolve` does."""
    assert main([REPLY, *PAIRS]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("prompt reply version ")
    assert lines[-3:] == ["A {{x}} writes about order 1:", "", "Where?"]


def test_reads_variables_and_messages_from_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Variables and messages come from files of JSON."""
    path = write_prompt(tmp_path, "hello", "<user>\n{{text}}\n</user>")
    variables, messages = tmp_path / "v.json", tmp_path / "m.json"
    variables.write_text('{"text": {"a": [1, 2.5]}}')
    messages.write_text('[{"role": "ROLE_ASSISTANT", "content": [{"text": "More"}]}]')

    code = main([str(path), "--vars", str(variables), "--messages", str(messages), "--json"])

    response = json.loads(capsys.readouterr().out)
    assert code == 0
    assert [message["content"][0]["text"] for message in response["messages"]] == [
        '{"a": [1, 2.5]}',
        "More",
    ]


def test_placeholders_and_partials(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Messages go into the placeholders that a file names; partials come from the root."""
    (tmp_path / "_tone.prompt").write_text("Be brief.")
    path = tmp_path / "team" / "hello.prompt"
    path.parent.mkdir()
    path.write_text(
        '---\nconfig: {}\n---\n{{role "system"}}{{>tone}}\n{{history}}\n{{role "user"}}Hi'
    )
    messages = tmp_path / "m.json"
    messages.write_text(
        '{"history": [{"role": "ROLE_ASSISTANT", "content": [{"text": "Before"}]}]}'
    )

    code = main([str(path), "--root", str(tmp_path), "--messages", str(messages)])

    out = capsys.readouterr().out
    assert code == 0
    assert out.startswith("prompt team/hello version ")
    assert [line for line in out.splitlines() if line in ("Be brief.", "Before", "Hi")] == [
        "Be brief.",
        "Before",
        "Hi",
    ]


def test_version(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file of one of several versions is that version."""
    path = write_prompt(tmp_path, "team/hello.versions/v7", "<user>\nHi\n</user>")

    assert main([str(path)]) == 0
    assert capsys.readouterr().out.startswith("prompt hello version v7 from file")


def test_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file whose signs tell no format is rendered in the one that is said."""
    path = tmp_path / "hello.prompt"
    path.write_text("---\nmodel: m\n---\nHi {{name}}")

    assert main([str(path), "--var", "name=Ada"]) == 2
    assert main([str(path), "--var", "name=Ada", "--prompt-format", "humanloop"]) == 0
    assert capsys.readouterr().out.endswith("[user]\nHi Ada\n")


def test_needs_no_configuration(tmp_path: Path) -> None:
    """No configuration, no store and no key of the environment is looked at."""
    path = write_prompt(tmp_path, "hello", "<user>\nHi\n</user>")

    done = run_cli(
        "render",
        str(path),
        environ={"PROMPT_RESOLVER_CONFIG": "/nowhere", "PROMPT_RESOLVER_GRPC_ADDRESS": "nonsense"},
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("[user]\nHi\n")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([REPLY], "VARIABLES_INVALID: variables: missing company, customer_name, message, order"),
        ([REPLY, "--root", "/nowhere"], "expected a file below /nowhere"),
        (["/nowhere.prompt"], "/nowhere.prompt: expected a file"),
        ([__file__], "expected a name that ends in .prompt or .prompt.json"),
        ([REPLY, "--var", "company"], "--var: expected NAME=VALUE, got 'company'"),
        ([REPLY, "--messages", "/nowhere"], "/nowhere: expected a readable file"),
        ([REPLY, "--messages", "FILE"], "expected messages such as"),
    ],
)
def test_failures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], problem: str
) -> None:
    """What cannot be rendered is told in one line, and ends with 2."""
    path = tmp_path / "m.json"
    path.write_text('[{"role": "user", "content": "Hi"}]')
    arguments = [str(path) if argument == "FILE" else argument for argument in arguments]

    code = main(arguments)

    captured = capsys.readouterr()
    assert (code, captured.out) == (2, "")
    assert problem in captured.err
    assert len(captured.err.splitlines()) == 1


def test_broken_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is no prompt is told with its line, as JSON where that is asked for."""
    path = write_prompt(tmp_path, "broken", "<user>\nHi\n</user>", temperature="hot")

    assert main([str(path), "--json"]) == 2

    error = json.loads(capsys.readouterr().err)["error"]
    assert error["reason"] == "TEMPLATE_INVALID"
    assert "line 5: temperature: expected a number, got text" in error["message"]
