"""`completion` in programs of their own: as LiteLLM's page has it, in forks, and at their ends."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.support.completion import PROVIDER_KEY, Scene, stock, store_environ
from tests.support.humanloop import KEY, running_humanloop
from tests.support.service import running_service
from tests.support.upstream import Exchange, Upstream, openai_events

PAGE = """
import prompt_resolver

prompt_resolver.set_verbose = True  # see raw request to provider

resp = prompt_resolver.completion(
    model="humanloop/gpt-3.5-turbo",
    prompt_id="test-chat-prompt",
    prompt_variables={"user_message": "this is used"},
    messages=[{"role": "user", "content": "<IGNORED>"}],
)
print(resp.choices[0].message.content)
"""

CALL = """
import asyncio, os, signal, sys, threading, time
import prompt_resolver
from prompt_resolver import PromptResolverError, acompletion, completion

WHAT = {"model": "humanloop/gpt-3.5-turbo", "prompt_id": "test-chat-prompt"}

def call(said="x", **options):
    answer = completion(**WHAT, prompt_variables={"user_message": said}, timeout=5, **options)
    return answer.choices[0].message.content

def begin(said=""):
    return completion(**WHAT, prompt_variables={"user_message": said}, stream=True)

def in_fork(work):
    # Return what a forked process makes of it, which is ended if it hangs.
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(15)
        try:
            said = str(work())
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    status = os.waitpid(pid, 0)[1]
    with open(reader) as pipe:
        return pipe.read() if status == 0 else f"ended by {status}"
"""


async def test_the_page(scene: Scene) -> None:
    """The page's lines work as they stand; in the process they show the request, without keys."""
    code, out, err = await scene.run(PAGE)

    assert (code, out) == (0, "Hello\n")
    assert scene.sent() == [("system", "Be brief."), ("user", "Say: this is used")]
    if scene.way == "sidecar":
        assert err == ""
        return
    assert err.startswith("POST Request Sent from prompt-resolver:\ncurl -X POST")
    assert f"{scene.provider.url}/chat/completions" in err
    assert "-H 'Authorization: Bearer *****'" in err
    assert '{"role":"user","content":"Say: this is used"}' in err
    for secret in ("IGNORED", KEY, PROVIDER_KEY):
        assert secret not in err


async def test_the_log_variable(scene: Scene) -> None:
    """A variable asks for the same, and what the program logs elsewhere does not matter."""
    silent = "import logging; logging.basicConfig(level=logging.DEBUG)\n" + CALL + "call('value-1')"
    told, _, err = await scene.run(CALL + "call()", PROMPT_RESOLVER_LOG="debug")
    code, _, log = await scene.run(silent)

    assert (told, code) == (0, 0)
    assert ("POST Request Sent" in err) == (scene.way == "in-process")
    assert "POST Request Sent" not in log
    assert "value-1" not in log


@pytest.mark.parametrize("method", ["fork", "multiprocessing", "prefork"])
async def test_forks(scene: Scene, method: str) -> None:
    """A process that has called forks, all call, and so does a fork of a fork."""
    programs = {
        "fork": """
print(call())
for _ in range(5):
    print(in_fork(call), call())
print(in_fork(lambda: call() + in_fork(call)))
""",
        "multiprocessing": """
import multiprocessing
context = multiprocessing.get_context("fork")
print(call())
with context.Pool(3) as pool:
    print(*pool.map(call, "abc"))
print(call())
""",
        "prefork": """
print(call())
readers = []
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        signal.alarm(15)
        threads = [threading.Thread(target=call) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        sys.exit(asyncio.run(acompletion(**WHAT, prompt_variables={"user_message": ""})).provider
            != "openai")
    readers.append(pid)
print(*(os.waitpid(pid, 0)[1] for pid in readers), call())
""",
    }
    said = await scene.output(CALL + programs[method])

    assert (
        said.split("\n")
        == {
            "fork": ["Hello", *["Hello Hello"] * 5, "HelloHello"],
            "multiprocessing": ["Hello", "Hello Hello Hello", "Hello"],
            "prefork": ["Hello", "0 0 0 Hello"],
        }[method]
    )


async def test_forks_without_a_call(scene: Scene) -> None:
    """Forks of a process that has not called yet are processes like others."""
    assert await scene.output(CALL + "print(in_fork(call), call())") == "Hello Hello"


@pytest.mark.parametrize("scene", ["in-process"], indirect=True)
async def test_workers(scene: Scene) -> None:
    """Forks have workers of their own for templates that need one, and none is left at the end."""
    stock(scene.store, template="Say: {{ user_message|upper }}", template_language="jinja")
    program = """
def has_children():
    try:
        return os.waitpid(-1, os.WNOHANG) == (0, 0)
    except ChildProcessError:
        return False

print(call(), in_fork(call), in_fork(lambda: in_fork(call)), call())
print(has_children())
prompt_resolver.process._process.close()
print(has_children())
"""

    said = await scene.output(CALL + program)

    assert said.split("\n") == ["Hello Hello Hello Hello", "True", "False"]
    assert scene.sent() == [("user", "Say: X")]


async def hang_for_one(exchange: Exchange) -> None:
    """Answer all but who says `wait`, who gets a beginning."""
    await exchange.begin_stream()
    events = openai_events("Hel", "lo")
    if b"Say: wait" in exchange.body:
        await exchange.send(events[0] + events[1])
        await exchange.wait_closed()
    else:
        await exchange.send(b"".join(events))
        exchange.writer.close()


async def test_forks_while_a_call_runs(scene: Scene) -> None:
    """What is forked while calls run does not hang: it calls, or is told that it cannot."""
    scene.provider.answer = hang_for_one
    program = """
chunks = begin("wait")
next(chunks)
print(in_fork(call))
print(in_fork(lambda: next(chunks)))
print(call())
chunks.close()
"""
    # Otherwise what gRPC does about forks may crash this one.
    said = await scene.output(CALL + program, GRPC_ENABLE_FORK_SUPPORT="0")
    here, stream, parent = said.split("\n")

    if scene.way == "sidecar":
        assert here.startswith("PromptResolverError: FAILED_PRECONDITION: this process was forked")
    else:
        assert here == "Hello"
    assert stream.startswith("RuntimeError: ")
    assert parent == "Hello"


async def test_forks_after_a_call_that_was_given_up(scene: Scene) -> None:
    """A stream that was left early does not keep gRPC in use."""
    scene.provider.answer = hang_for_one
    program = """
chunks = begin("wait")
next(chunks)
chunks.close()
print(*(in_fork(call) for _ in range(10)))
"""
    assert await scene.output(CALL + program) == " ".join(["Hello"] * 10)


async def test_a_fork_does_not_keep_a_call_alive(scene: Scene) -> None:
    """A call that is given up reaches the provider, though a forked process lives on."""
    left = asyncio.Event()

    async def answer(exchange: Exchange) -> None:
        await hang_for_one(exchange)
        left.set()

    scene.provider.answer = answer
    program = """
chunks = begin("wait")
next(chunks)
reader, writer = os.pipe()
if os.fork() == 0:
    signal.alarm(20)
    os.close(writer)
    os.read(reader, 1)
    os._exit(0)
chunks.close()
sys.stdin.read()
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        CALL + program,
        env={**os.environ, **scene.environ},
        stdin=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdin is not None
    try:
        async with asyncio.timeout(20):
            await left.wait()
    finally:
        process.stdin.close()
        await process.wait()


LEFT_BEHIND = {
    "nothing": "call()",
    "a stream": "stream = begin()",
    "a read stream": "kept = list(begin())",
    "a stream that waits": "stream = begin('wait'); next(stream)",
    "a call that was cancelled": """
async def leave():
    task = asyncio.create_task(acompletion(**WHAT, prompt_variables={"user_message": "wait"}))
    await asyncio.sleep(0)
asyncio.run(leave())
""",
    "a call that waits": """
def wait():
    try:
        call("wait")
    except PromptResolverError as error:
        assert error.code.name == "CANCELLED", error
threading.Thread(target=wait, daemon=True).start()
call()
""",
}


@pytest.mark.parametrize("program", LEFT_BEHIND.values(), ids=LEFT_BEHIND)
async def test_the_end(scene: Scene, program: str) -> None:
    """A program ends in silence, whatever calls it leaves behind."""
    scene.provider.answer = hang_for_one

    assert await scene.output(CALL + program, PYTHONWARNINGS="error") == ""


@pytest.fixture
async def surroundings(
    tmp_path: Path, upstream: Upstream
) -> AsyncIterator[tuple[Scene, AsyncExitStack]]:
    """A scene without a sidecar, and where more can be run."""
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(running_humanloop())
        stock(store)
        yield Scene("in-process", store, upstream, store_environ(store, upstream.url)), stack


async def test_forks_while_the_engine_is_built(
    surroundings: tuple[Scene, AsyncExitStack],
) -> None:
    """A fork waits for what its process is importing, which it could never import otherwise."""
    program = """
threads = [threading.Thread(target=call) for _ in range(3)]
for thread in threads:
    thread.start()
print(in_fork(call))
for thread in threads:
    thread.join()
"""
    assert await surroundings[0].output(CALL + program) == "Hello"


async def test_forks_while_prices_are_loaded(
    surroundings: tuple[Scene, AsyncExitStack],
) -> None:
    """So it does for what a thread of the engine imports, such as the table of prices."""
    program = """
begun, forking = threading.Event(), threading.Event()

class Wait:
    def find_spec(self, name, path=None, target=None):
        if name == "prompt_resolver_server.pricing.table":
            begun.set()
            forking.wait()

def cost():
    return completion(**WHAT, prompt_variables={"user_message": "x"}).cost is not None

sys.meta_path.insert(0, Wait())
os.register_at_fork(before=forking.set)
thread = threading.Thread(target=cost)
thread.start()
begun.wait()
print(in_fork(cost), cost())
thread.join()
"""
    assert await surroundings[0].output(CALL + program) == "True True"


async def test_calls_while_prices_are_loaded(surroundings: tuple[Scene, AsyncExitStack]) -> None:
    """Nobody begins a call later for that."""
    program = """
begun, called = threading.Event(), threading.Event()

class Wait:
    def find_spec(self, name, path=None, target=None):
        if name == "prompt_resolver_server.pricing.table":
            begun.set()
            called.wait()

async def ask():
    task = asyncio.create_task(
        acompletion(**WHAT, prompt_variables={"user_message": "x"}, timeout=20)
    )
    await asyncio.sleep(0)
    called.set()
    return (await task).choices[0].message.content

sys.meta_path.insert(0, Wait())
thread = threading.Thread(target=call)
thread.start()
begun.wait()
print(asyncio.run(ask()))
thread.join()
"""
    assert await surroundings[0].output(CALL + program) == "Hello"


async def test_no_event_loop(surroundings: tuple[Scene, AsyncExitStack]) -> None:
    """A call that can have no event loop says so, and keeps no later call and no fork waiting."""
    program = """
import resource
# What is imported needs files, too.
import prompt_resolver.process, uvloop

limits = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, limits[1]))
files = []
try:
    while True:
        files.append(open(os.devnull))
except OSError:
    pass
try:
    call()
except PromptResolverError as error:
    said = error.code.name
for file in files:
    file.close()
print(said, call(), in_fork(call))
"""
    _, out, _ = await surroundings[0].run(CALL + program)

    assert out == "RESOURCE_EXHAUSTED Hello Hello\n"


async def test_configuration(surroundings: tuple[Scene, AsyncExitStack], tmp_path: Path) -> None:
    """The configuration is the service's, its aliases among it; a fault in it is told by place."""
    scene, _ = surroundings
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(
        "model_list:\n- model_name: support\n"
        "  litellm_params: {model: openai/gpt-4o, prompt_id: pr_page}\n"
        "stores: {humanloop: {type: humanloop, api_key: os.environ/HUMANLOOP_API_KEY}}\n"
    )
    bad.write_text("stores:\n  x: {type: nonsense}\n")
    odd = tmp_path / "odd.yaml"
    odd.write_text(
        f"prompts: [{{prompt_id: x}}]\nproviders: {{openai: {{api_key: 'file:{tmp_path}/key'}}}}\n"
        "tracing: {sample_ratio: 1}\nmetrics: {interval_s: 1}\n"
    )
    ask = CALL + "print(completion('support', prompt_variables={'user_message': ''}).model)"
    fail = f"""{CALL}
try:
    call()
except prompt_resolver.ConfigurationError as error:
    print(error)
os.environ["PROMPT_RESOLVER_CONFIG"] = {str(good)!r}
print(call())
"""

    assert await scene.output(ask, PROMPT_RESOLVER_CONFIG=str(good)) == "served-model"
    _, _, warned = await scene.run(CALL + "call()", PROMPT_RESOLVER_CONFIG=str(odd))
    assert "a setting has no effect in this version: prompts" in warned
    for name in ("tracing", "metrics"):
        assert f"a setting has no effect but in a service: {name}" in warned
    assert "a key's file is not there yet: providers.openai.api_key" in warned
    told, then = (await scene.output(fail, PROMPT_RESOLVER_CONFIG=str(bad))).split("\n")
    assert f"{bad}:2: stores.x.type: expected one of" in told
    assert then == "Hello"


async def test_a_token(surroundings: tuple[Scene, AsyncExitStack], tmp_path: Path) -> None:
    """The sidecar's token comes from the environment."""
    scene, stack = surroundings
    service = await stack.enter_async_context(
        running_service(tmp_path, "general_settings: {master_key: let-me-in}", scene.environ)
    )
    address = {"PROMPT_RESOLVER_ADDRESS": service.address}
    code, _, err = await scene.run(CALL + "call()", **address)

    assert code == 1
    assert "CALLER_TOKEN_MISSING" in err
    assert (
        await scene.output(CALL + "print(call())", **address, PROMPT_RESOLVER_TOKEN="let-me-in")
        == "Hello"
    )


async def test_a_token_in_a_file(
    surroundings: tuple[Scene, AsyncExitStack], tmp_path: Path
) -> None:
    """It may come in a file, whose newest token goes with each call; two tokens are refused."""
    scene, stack = surroundings
    callers = "callers: {old: {token: the-old-one}, new: {token: the-new-one}}"
    service = await stack.enter_async_context(running_service(tmp_path, callers, scene.environ))
    file = tmp_path / "token"
    file.write_text("the-old-one\n")
    environ = {
        "PROMPT_RESOLVER_ADDRESS": service.address,
        "PROMPT_RESOLVER_TOKEN_FILE": str(file),
    }
    program = f"""{CALL}
print(call())
for token in ("a-wrong-one", "the-new-one"):
    with open({str(file)!r}, "w") as file:
        file.write(token)
    try:
        print(call())
    except PromptResolverError as error:
        print(error.reason)
"""
    _, _, err = await scene.run(CALL + "call()", **environ, PROMPT_RESOLVER_TOKEN="the-new-one")

    said = await scene.output(program, **environ)

    assert said.split("\n") == ["Hello", "CALLER_TOKEN_INVALID", "Hello"]
    assert "expected PROMPT_RESOLVER_TOKEN or PROMPT_RESOLVER_TOKEN_FILE, got both" in err
    assert "ConfigurationError" in err


async def test_nowhere_to_call(surroundings: tuple[Scene, AsyncExitStack]) -> None:
    """Where there is neither a sidecar nor the service, the error tells both ways."""
    hide = """
import sys
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("aiohttp", "pydantic", "uvloop", "prompt_resolver_server"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Hide())
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if name == "aiohttp" else found(name)
"""
    code, _, err = await surroundings[0].run(hide + CALL + "call()")

    assert code == 1
    assert "prompt_resolver.errors.ConfigurationError: FAILED_PRECONDITION: expected" in err
    assert "PROMPT_RESOLVER_ADDRESS" in err
    assert "pip install 'prompt-resolver[server]'" in err
