"""`completion` where programs end: what is closed, threads that go on, and handlers of `atexit`."""

import asyncio
import sys
from pathlib import Path

import pytest

from tests.support.completion import Scene, stock
from tests.support.humanloop_export import write_export
from tests.support.prompts import write_prompt
from tests.support.upstream import Exchange

GOES_ON = """
import os, signal, sys, threading
import prompt_resolver

WHAT = {"model": "humanloop/gpt-3.5-turbo", "prompt_variables": {"user_message": "x"}}

def ask(prompt_id="test-chat-prompt", **options):
    return prompt_resolver.completion(**{**WHAT, **options}, prompt_id=prompt_id)

def say(work):
    try:
        said = work().choices[0].message.content
    except prompt_resolver.PromptResolverError as error:
        said = f"{error.code.name} {error.message}"
    # In one write: what `print` writes unbuffered lets others in before the line's end.
    sys.stdout.write(f"{said}\\n")

def go_on(*works):
    # Once the main thread has come to its end.
    def do():
        threading.main_thread().join()
        for work in works:
            say(work)
    threading.Thread(target=do).start()
"""


@pytest.mark.parametrize("scene", ["in-process"], indirect=True)
async def test_the_end(scene: Scene, tmp_path: Path) -> None:
    """A program that had workers and copies on disk ends in silence, and its copies are there."""
    stock(scene.store, template="Say: {{ user_message|upper }}", template_language="jinja")
    kept = {"PROMPT_RESOLVER_STATE_DIR": str(tmp_path / "state"), "PYTHONWARNINGS": "error"}
    program = GOES_ON + "print(ask().prompt.cache)"

    first = await scene.output(program, **kept)
    scene.store.fail = fail
    code, then, _ = await scene.run(program, **kept)

    assert (first, code, then) == ("miss", 0, "fallback\n")


async def fail(exchange: Exchange) -> None:
    await exchange.send_response(b"{}", status="503 Service Unavailable")


async def test_a_thread_that_goes_on(scene: Scene) -> None:
    """A thread may make the first calls of its program when the main thread has ended."""
    assert await scene.output(GOES_ON + "go_on(ask, ask)") == "Hello\nHello"


async def test_a_late_call_of_a_thread_that_goes_on(scene: Scene) -> None:
    """Such a call has a deadline, too, which the error tells."""
    left = asyncio.Event()

    async def hang(exchange: Exchange) -> None:
        await exchange.wait_closed()
        left.set()

    scene.provider.answer = hang
    said = await scene.output(GOES_ON + "go_on(lambda: ask(timeout=3))")

    assert said.startswith("DEADLINE_EXCEEDED")
    await left.wait()


async def test_a_thread_that_goes_on_without_a_service(scene: Scene) -> None:
    """Where the service is not there, such a call says so."""
    said = await scene.output(
        GOES_ON + "go_on(lambda: ask(timeout=0.2))", PROMPT_RESOLVER_ADDRESS="127.0.0.1:9"
    )

    assert said == "DEADLINE_EXCEEDED no connection to 127.0.0.1:9 after 0.2 s"


@pytest.mark.parametrize("scene", ["in-process"], indirect=True)
async def test_what_a_thread_that_goes_on_needs(scene: Scene, tmp_path: Path) -> None:
    """It may ask for what nobody asked for before: files, an export, workers, large requests."""
    plain = {"model": "m", "provider": "echo"}
    write_prompt(tmp_path, "one", "<user>\none\n</user>", **plain)
    write_prompt(tmp_path, "two", "<user>\n{{user_message}}\n</user>", **plain)
    shout = "<user>\n{{ user_message|upper }}\n</user>"
    write_prompt(tmp_path, "three", shout, **plain, template_language="jinja")
    stock(scene.store, template="four", **plain)
    write_export(tmp_path / "export", scene.store.prompts.values())
    config = tmp_path / "config.yaml"
    config.write_text(
        f"stores: {{files: {{type: directory, path: {tmp_path}}},"
        f" export: {{type: humanloop_export, path: {tmp_path}/export}}}}"
    )
    program = """
WHAT["model"] = None
say(lambda: ask("one"))
go_on(
    lambda: ask("two"),
    lambda: ask("two", prompt_variables={"user_message": "y" * 50_000}),
    lambda: ask("three"),
    lambda: ask("pr_page", model="export/auto"),
)
"""
    said = await scene.output(GOES_ON + program, PROMPT_RESOLVER_CONFIG=str(config))

    assert said.split("\n") == ["one", "x", "y" * 50_000, "X", "four"]


async def test_the_interpreters_end(scene: Scene) -> None:
    """Handlers of `atexit` may call where Python starts threads for them, and else are told."""
    expected = (
        "FAILED_PRECONDITION the interpreter is ending" if sys.version_info >= (3, 12) else "Hello"
    )
    at_exit = "import atexit\natexit.register(lambda: say(ask))\n"
    # Handlers run in reverse: in the second program, once the package has closed its engine.
    for program in (GOES_ON + at_exit, at_exit + GOES_ON):
        for before in ("", "say(ask)\n"):
            *calls, last = (await scene.output(program + before)).split("\n")

            assert calls == ["Hello"] * bool(before)
            assert last.startswith(expected)


async def test_a_fork_during_the_import(scene: Scene) -> None:
    """What is forked while another thread touches `completion` for the first time can call."""
    # That thread calls once the fork is made: gRPC survives none amid a call.
    program = """
begun, forking, forked = threading.Event(), threading.Event(), threading.Event()

def touch():
    prompt_resolver.completion
    forked.wait()
    say(ask)

class Wait:
    def find_spec(self, name, path=None, target=None):
        if name == "prompt_resolver.engine" and not begun.is_set():
            begun.set()
            forking.wait()

sys.meta_path.insert(0, Wait())
os.register_at_fork(before=forking.set, after_in_parent=forked.set)
thread = threading.Thread(target=touch)
thread.start()
begun.wait()
pid = os.fork()
if pid == 0:
    signal.alarm(20)
    say(ask)
    sys.stdout.flush()
    os._exit(0)
ended = os.waitpid(pid, 0)[1]
thread.join()
print(ended)
"""
    assert sorted((await scene.output(GOES_ON + program)).split()) == ["0", "Hello", "Hello"]
