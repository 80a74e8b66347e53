"""The command line: what it prints, and what it exits with."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.prompts import write_prompt
from tests.support.service import ServiceProcess, run_cli, service_process

EXAMPLE = ("--var", "company=J", "--var", "customer_name=A", "--var", "order_id=1")
MESSAGE = ("--var", "message=Where is it?")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    folder = tmp_path_factory.mktemp("cli")
    write_prompt(folder / "prompts", "broken", "<user>\nHi\n</user>", temperature="hot")
    write_prompt(folder / "prompts", "echo", "<user>\n{{text}}\n</user>", provider="echo")
    config = folder / "c.yaml"
    config.write_text(
        """
stores: {local: {type: directory, path: prompts}}
model_list: [{model_name: said, litellm_params: {model: echo/alias-model}}]
"""
    )
    with service_process("--config", str(config)) as running:
        yield running


@pytest.fixture(scope="module")
def examples() -> Iterator[ServiceProcess]:
    with service_process() as running:
        yield running


def environ(service: ServiceProcess) -> dict[str, str]:
    return {"PROMPT_RESOLVER_ADDRESS": service.address}


def test_resolve(examples: ServiceProcess) -> None:
    """`resolve` shows a prompt: where it is from, its model, its parameters and its messages."""
    done = run_cli("resolve", "support/reply", *EXAMPLE, *MESSAGE, environ=environ(examples))

    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0].startswith("prompt support/reply version ")
    assert lines[1:4] == ["model echo/gpt-4o-mini", "temperature 0.3", "max_tokens 120"]
    assert "[system]" in lines
    assert lines[-3:] == ["A writes about order 1:", "", "Where is it?"]


def test_resolve_shows_everything(examples: ServiceProcess) -> None:
    """Tools, tool calls, their answers and images are shown too."""
    tools = run_cli(
        *("resolve", "assistant/orders", "--var", "company=J", "--var", "question=Q"),
        environ=environ(examples),
    )
    image = run_cli(
        *("resolve", "vision/damage", "--var", "product=bikes", "--var", "note=bent"),
        *("--var", "photo_url=https://x.invalid/p.png"),
        environ=environ(examples),
    )

    assert "tool find_order: Find an order and its state by its number" in tools.stdout
    assert 'calls find_order {"order_id": "J-1001"}' in tools.stdout
    assert "[tool]" in tools.stdout
    assert "(image https://x.invalid/p.png)" in image.stdout


def test_resolve_as_json(examples: ServiceProcess) -> None:
    """`--json` prints the whole response, with the contract's names."""
    done = run_cli(
        *("resolve", "extract/invoice", "--json", "--var", "text=T", "--message", "More"),
        environ=environ(examples),
    )

    response = json.loads(done.stdout)
    assert response["prompt"]["id"] == "extract/invoice"
    assert response["parameters"]["response_format"]["type"] == "TYPE_JSON_SCHEMA"
    assert response["messages"][-1] == {"role": "ROLE_USER", "content": [{"text": "More"}]}


def test_complete(service: ServiceProcess) -> None:
    """`complete` prints the answer as it comes, and what it was on standard error."""
    done = run_cli("complete", "echo", "--var", "text=a = b", environ=environ(service))

    assert (done.returncode, done.stdout) == (0, "a = b\n")
    assert done.stderr.startswith("[stop, 3 + 3 tokens  echo/some-model  prompt echo version ")


def test_complete_as_json(service: ServiceProcess) -> None:
    """`complete --json` prints the whole answer."""
    done = run_cli("complete", "echo", "--json", "--var", "text=a", environ=environ(service))

    response = json.loads(done.stdout)
    assert response["message"]["content"] == [{"text": "a"}]
    assert response["finish_reason"] == "FINISH_REASON_STOP"


def test_alias_and_options(service: ServiceProcess) -> None:
    """An alias needs no id; model, store and version go into the call."""
    said = run_cli(
        *("complete", "--alias", "said", "--message", "Hi", "--timeout", "10"),
        environ=environ(service),
    )
    chosen = run_cli(
        *("resolve", "echo", "--var", "text=a", "--model", "openai/m", "--store", "local"),
        "--refresh",
        environ=environ(service),
    )
    pinned = run_cli(
        *("resolve", "echo", "--var", "text=a", "--version", "0"), environ=environ(service)
    )

    assert said.stdout == "Hi\n"
    assert "model openai/m" in chosen.stdout
    assert "(bypass)" in chosen.stdout
    assert pinned.returncode == 2
    assert "VERSION_NOT_FOUND" in pinned.stderr


def test_token(tmp_path: Path) -> None:
    """The token is the option's, else a variable's, which is not seen by who lists processes."""
    config = tmp_path / "c.yaml"
    config.write_text("callers: {desk: {token: token-of-desk}}\n")
    call = ("resolve", "extract/invoice", "--var", "text=T")
    with service_process("--config", str(config)) as running:
        named = {**environ(running), "PROMPT_RESOLVER_TOKEN": "token-of-desk"}
        other = {**environ(running), "PROMPT_RESOLVER_TOKEN": "token-of-nobody"}

        none = run_cli(*call, environ=environ(running))
        by_variable = run_cli(*call, environ=named)
        by_option = run_cli(*call, "--token", "token-of-desk", environ=other)
        unprintable = run_cli(*call, environ={**environ(running), "PROMPT_RESOLVER_TOKEN": "a\nb"})
        (file := tmp_path / "token").write_text("token-of-desk\n")
        by_file = {**environ(running), "PROMPT_RESOLVER_TOKEN_FILE": str(file)}
        from_file = run_cli(*call, environ=by_file)
        option_first = run_cli(*call, "--token", "token-of-nobody", environ=by_file)
        both = run_cli(*call, environ={**named, **by_file})
        file.unlink()
        absent = run_cli(*call, environ=by_file)

    assert (none.returncode, "CALLER_TOKEN_MISSING" in none.stderr) == (2, True)
    assert (by_variable.returncode, by_variable.stderr) == (0, "")
    assert (by_option.returncode, by_option.stderr) == (0, "")
    assert "PROMPT_RESOLVER_TOKEN: expected printable ASCII" in unprintable.stderr
    assert (from_file.returncode, from_file.stderr) == (0, "")
    assert "CALLER_TOKEN_INVALID" in option_first.stderr
    assert "PROMPT_RESOLVER_TOKEN or PROMPT_RESOLVER_TOKEN_FILE, got both" in both.stderr
    assert "expected a token in a readable file" in absent.stderr
    assert (both.returncode, absent.returncode) == (2, 2)


@pytest.mark.parametrize("command", ["health", "resolve", "complete"])
def test_a_url_for_an_address(command: str) -> None:
    """A URL is told to be none of gRPC's addresses in one line, and has to change."""
    prompt = () if command == "health" else ("echo",)
    done = run_cli(command, *prompt, "--address", "http://127.0.0.1:1", environ={})

    assert done.returncode == 2
    assert "address: expected HOST:PORT without http:// or https://" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_variables_from_a_file(service: ServiceProcess, tmp_path: Path) -> None:
    """Variables come from a file or standard input, of any kind, and `--var` wins."""
    path = tmp_path / "v.json"
    path.write_text('{"text": {"a": [1, null]}}')

    from_file = run_cli("complete", "echo", "--vars-file", str(path), environ=environ(service))
    from_stdin = run_cli(
        "complete", "echo", "--vars-file", "-", stdin='{"text": 3}', environ=environ(service)
    )
    both = run_cli(
        *("complete", "echo", "--vars-file", str(path), "--var", "text=v"),
        environ=environ(service),
    )

    assert from_file.stdout == '{"a": [1, null]}\n'
    assert from_stdin.stdout == "3\n"
    assert both.stdout == "v\n"


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (["resolve", "echo"], 2, "VARIABLES_INVALID: variables: missing text"),
        (["resolve", "nowhere"], 2, "PROMPT_NOT_FOUND: store 'local' has no prompt 'nowhere'"),
        (["resolve", "../x"], 2, "PROMPT_ID_INVALID"),
        (
            ["complete", "broken"],
            2,
            "TEMPLATE_INVALID: broken.prompt, line 5: temperature: expected a number, got text",
        ),
        (["complete", "--alias", "nobody"], 2, "ALIAS_UNKNOWN"),
        (["resolve"], 2, "expected a prompt's id or --alias"),
        (["resolve", "echo", "--var", "text"], 2, "--var: expected NAME=VALUE, got 'text'"),
        (["resolve", "echo", "--var", "text=\udcff"], 2, "expected UTF-8"),
        (["resolve", "echo", "--token", "a\nb"], 2, "--token: expected printable ASCII"),
        (["resolve", "echo", "--timeout", "1e300"], 2, "expected a number of seconds above 0"),
        (["resolve", "echo", "--timeout", "nan"], 2, "expected a number of seconds above 0"),
        (["resolve", "echo", "--timeout", "0"], 2, "expected a number of seconds above 0"),
        (["resolve", "echo", "--timeout", "soon"], 2, "expected a number of seconds above 0"),
        (["resolve", "echo", "--vars-file", "/nowhere"], 2, "/nowhere: expected a readable file"),
        (["resolve", "echo", "--version", "1", "--environment", "e"], 2, "got both"),
        (["resolve", "echo", "--nonsense"], 2, "unrecognized arguments: --nonsense"),
        (["nonsense"], 2, "invalid choice: 'nonsense'"),
    ],
)
def test_failures(service: ServiceProcess, arguments: list[str], code: int, problem: str) -> None:
    """A call that cannot succeed is told in one line, and ends with 2."""
    done = run_cli(*arguments, environ=environ(service))

    assert done.returncode == code
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert problem in done.stderr


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{\n  nonsense", ":2: expected JSON"),
        ("[1]", "expected a JSON object of variables"),
        ('{"text": "\\ud800"}', "expected UTF-8"),
        ('{"text": ' + "[" * 20_000 + "]" * 20_000 + "}", "expected fewer levels of nesting"),
        ('{"text": ' + "[" * 400 + "]" * 400 + "}", "[0]: expected at most 30 levels of nesting"),
        ('{"text": ' + "1" * 400 + "}", "variables.text: expected a number up to 2**53"),
        ('{"text": ' + "1" * 5000 + "}", "expected smaller numbers"),
    ],
    ids=[
        *("no JSON", "no object", "no Unicode", "too deep for JSON", "too deep for a message"),
        *("too large for a double", "too large for Python"),
    ],
)
def test_file_that_is_no_variables(
    service: ServiceProcess, tmp_path: Path, text: str, problem: str
) -> None:
    """A file that holds no variables is told with its line."""
    path = tmp_path / "v.json"
    path.write_text(text)

    done = run_cli("resolve", "echo", "--vars-file", str(path), environ=environ(service))

    assert done.returncode == 2
    assert f"{path}{problem}" in done.stderr or problem in done.stderr


def test_service_that_is_not_there() -> None:
    """A service that cannot be reached may be there later: that ends with 1."""
    done = run_cli("resolve", "echo", "--address", "127.0.0.1:1", environ={})

    assert done.returncode == 1
    assert done.stderr.startswith("prompt-resolver: UNAVAILABLE: ")


def test_failure_as_json(service: ServiceProcess) -> None:
    """With `--json` a failure is JSON too, on standard error."""
    done = run_cli("resolve", "echo", "--json", environ=environ(service))

    error = json.loads(done.stderr)["error"]
    assert done.returncode == 2
    assert (error["code"], error["reason"]) == ("INVALID_ARGUMENT", "VARIABLES_INVALID")
    assert error["metadata"] == {"missing": "text"}


def test_help_and_version() -> None:
    """Nothing at all prints the help; `--version` the version."""
    listed = run_cli(environ={}).stdout
    for command in ("resolve", "complete", "serve", "config", "health", "lint", "render", "pull"):
        assert f"\n    {command} " in listed
    assert run_cli("--help", environ={}).returncode == 0
    assert run_cli("serve", "--help", environ={}).returncode == 0
    assert run_cli("--version", environ={}).stdout.startswith("prompt-resolver 0.")


@pytest.mark.parametrize("command", ["serve", "config", "lint", "render", "pull"])
def test_without_the_service(command: str) -> None:
    """Where only the client is installed, the commands of the service say what to install."""
    code = f"""
import importlib.util, sys
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if name == "aiohttp" else find_spec(name)
from prompt_resolver.cli import main
sys.exit(main(["{command}"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )

    assert done.returncode == 2
    assert "pip install 'prompt-resolver[server]'" in done.stderr
