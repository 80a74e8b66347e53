"""The sidecar as the manifest runs it: its arguments, its volumes, its probes, and its end.

What a cluster would do is done here, with the same commands; only paths and addresses are others.
"""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from socket import create_server
from threading import Event

import pytest

from prompt_resolver import PromptResolverClient, PromptResolverError
from tests.support.manifest import Object, image_environment, read_manifest
from tests.support.volume import Volume

MANIFEST = read_manifest()
MOUNTS = [mount["mountPath"] for mount in MANIFEST.sidecar["volumeMounts"]]
SWAPS = 100
PATIENCE_S = 30
SAID = {"name": "Ada", "company": "Juniper", "message": "Is it here?"}


@dataclass
class Pod:
    """A pod's folder and addresses, in place of those that its containers see."""

    folder: Path
    grpc_address: str
    admin_address: str
    volumes: dict[str, Volume] = field(default_factory=dict)

    def __post_init__(self) -> None:
        command = self.folder / "bin" / "prompt-resolver"
        command.parent.mkdir()
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m prompt_resolver.cli "$@"\n')
        command.chmod(0o755)
        for path in MOUNTS:
            source = MANIFEST.volume(path)
            if "emptyDir" in source:
                (self.folder / path.lstrip("/")).mkdir()
                continue
            files = MANIFEST.files(path) if "configMap" in source else {}
            self.volumes[path] = Volume(
                self.folder / path.lstrip("/"),
                {name: self.place(text) for name, text in files.items()},
            )

    def place(self, text: str) -> str:
        """Return a text with its paths and addresses being this pod's."""
        text = re.sub(rf"(?<![\w/])({'|'.join(MOUNTS)})\b", rf"{self.folder}\1", text)
        text = text.replace("127.0.0.1:50051", self.grpc_address)
        return text.replace("0.0.0.0:9090", self.admin_address)

    def start(self, command: list[str], variables: dict[str, str]) -> subprocess.Popen[str]:
        """Start a container's command, or one beside it."""
        environment = {k: v for k, v in os.environ.items() if "PROMPT_RESOLVER" not in k}
        placed = {name: self.place(value) for name, value in variables.items()}
        # The addresses that commands have without being told are placed too.
        environment["PROMPT_RESOLVER_ADDRESS"] = self.grpc_address
        environment["PATH"] = f"{self.folder}/bin:{environment['PATH']}"
        return subprocess.Popen(
            [self.place(word) for word in command],
            env={**environment, **placed},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def probe(self, name: str) -> tuple[bool, str]:
        """Run a probe of the sidecar once, and return whether it succeeded and what it said."""
        probe = MANIFEST.sidecar[name]
        if "exec" in probe:
            with self.start(probe["exec"]["command"], image_environment()) as process:
                _, said = process.communicate(timeout=probe["timeoutSeconds"] * 4)
            return process.returncode == 0, said
        assert probe["httpGet"]["port"] == MANIFEST.sidecar["ports"][0]["name"]
        return self.get(probe["httpGet"]["path"])

    def get(self, path: str) -> tuple[bool, str]:
        try:
            with urllib.request.urlopen(f"http://{self.admin_address}{path}", timeout=5) as page:
                return page.status == 200, page.read().decode()
        except OSError as error:
            return False, str(error)

    @contextmanager
    def running(self, container: Object, entrypoint: list[str]) -> Iterator[subprocess.Popen[str]]:
        variables = {each["name"]: each["value"] for each in container.get("env", [])}
        command = [*container.get("command", entrypoint), *container["args"]]
        with self.start(command, image_environment() | variables) as process:
            try:
                yield process
            finally:
                # A container's end is the end of everything in it.
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    with create_server(("127.0.0.1", 0)) as first, create_server(("127.0.0.1", 0)) as second:
        addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in (first, second)]
    return Pod(tmp_path, grpc_address=addresses[0], admin_address=addresses[1])


@pytest.fixture
def sidecar(pod: Pod) -> Iterator[subprocess.Popen[str]]:
    """The sidecar's process, once its startup probe has succeeded."""
    with pod.running(MANIFEST.sidecar, ["prompt-resolver"]) as process:
        wait_for_probe(pod, process, "startupProbe")
        wait_for_probe(pod, process, "readinessProbe")
        yield process


def wait_for_probe(pod: Pod, process: subprocess.Popen[str], name: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not pod.probe(name)[0]:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline


def test_probes(pod: Pod, sidecar: subprocess.Popen[str]) -> None:
    """Once started, it is ready and alive, and Prometheus finds its metrics."""
    path = MANIFEST.pod["metadata"]["annotations"]["prometheus.io/path"]

    assert pod.probe("readinessProbe") == (True, "")
    assert pod.probe("livenessProbe") == (True, "ok\n")
    assert "prompt_resolver_build_info" in pod.get(path)[1]


def test_probes_before_the_start(pod: Pod) -> None:
    """Before it listens, no probe succeeds."""
    assert not pod.probe("startupProbe")[0]
    assert not pod.probe("readinessProbe")[0]
    assert not pod.probe("livenessProbe")[0]


def test_prompt_that_cannot_be_had(pod: Pod) -> None:
    """A prompt that is not there keeps the pod from being ready, and from nothing else."""
    config = MANIFEST.files("/config")["config.yaml"]
    lacking = config.replace("prefetch: [support/reply]", "prefetch: [support/nobody]")
    assert lacking != config
    pod.volumes["/config"].update({"config.yaml": pod.place(lacking)})

    with pod.running(MANIFEST.sidecar, ["prompt-resolver"]) as process:
        wait_for_probe(pod, process, "startupProbe")

        assert not pod.probe("readinessProbe")[0]
        assert pod.probe("livenessProbe") == (True, "ok\n")
        with PromptResolverClient(pod.grpc_address) as client:
            assert client.resolve("greeting", variables=SAID).messages


def test_prompts(pod: Pod, sidecar: subprocess.Popen[str]) -> None:
    """Each prompt of the ConfigMap is resolved by its path, and by nothing else."""
    ids = [path.removesuffix(".prompt") for path in MANIFEST.files("/prompts")]
    hidden = (pod.folder / "prompts" / "..data").readlink().name
    with PromptResolverClient(pod.grpc_address) as client:
        texts = {each: client.resolve(each, variables=SAID).messages for each in ids}
        reasons = []
        for other in ("support.reply", f"{hidden}/greeting", "..data/greeting"):
            with pytest.raises(PromptResolverError) as caught:
                client.resolve(other, variables=SAID)
            reasons.append(caught.value.reason)

    assert texts["greeting"][0].content[0].text == "Good morning, Ada."
    assert texts["support/reply"][1].content[0].text == "Is it here?"
    assert reasons == ["PROMPT_NOT_FOUND"] * 3


def test_keys_may_come_later(pod: Pod, sidecar: subprocess.Popen[str]) -> None:
    """Without the Secret, a prompt is resolved, and its completion says what is missing."""
    with PromptResolverClient(pod.grpc_address) as client:
        answer = client.complete("greeting", variables=SAID)
        with pytest.raises(PromptResolverError) as caught:
            client.complete("support/reply", variables=SAID)

    assert answer.message.content[0].text == "Good morning, Ada."
    assert (caught.value.reason, caught.value.metadata) == (
        "PROVIDER_KEY_MISSING",
        {"provider": "openai"},
    )


def test_prompts_change(pod: Pod, sidecar: subprocess.Popen[str]) -> None:
    """An edit is served by the next call, and no call fails while the volume is replaced."""
    files = MANIFEST.files("/prompts")
    name = "support/reply.prompt"

    def count(client: PromptResolverClient) -> str:
        """Return what stands in place of `two`: so many sentences the answer may have."""
        message = client.resolve("support/reply", variables=SAID).messages[0]
        (number,) = re.findall(r"(\w+) sentences", message.content[0].text)
        return str(number)

    def count_until(last: str) -> list[str]:
        counts: list[str] = []
        with PromptResolverClient(pod.grpc_address) as client:
            while last not in counts[-1:]:
                counts.append(count(client))
                calling.set()
        return counts

    calling = Event()
    edits = [str(number) for number in range(1000, 1000 + SWAPS)]
    served = []
    with PromptResolverClient(pod.grpc_address) as client, ThreadPoolExecutor() as pool:
        before = count(client)
        other_caller = pool.submit(count_until, edits[-1])
        assert calling.wait(PATIENCE_S)
        for edit in edits:
            pod.volumes["/prompts"].update({**files, name: files[name].replace("two ", f"{edit} ")})
            served.append(count(client))
        seen = other_caller.result(PATIENCE_S)

    assert before == "two"
    assert served == edits
    assert seen == sorted(seen, key=["two", *edits].index)


def test_app(pod: Pod, sidecar: subprocess.Popen[str]) -> None:
    """The app that stands for yours gets its prompt, and ends when it is told to."""
    with pod.running(MANIFEST.app, []) as app:
        assert app.stdout is not None
        lines = []
        for line in app.stdout:
            lines.append(line.strip())
            if line.strip() == SAID["message"]:
                break
        app.send_signal(signal.SIGTERM)
        code = app.wait(PATIENCE_S)

    assert lines[0].startswith("prompt support/reply version")
    assert lines[-1] == SAID["message"]
    assert code == 0


def test_end(pod: Pod, sidecar: subprocess.Popen[str]) -> None:
    """SIGTERM ends it with 0 well within its time, and then no probe succeeds."""
    sidecar.send_signal(signal.SIGTERM)
    began = time.monotonic()
    code = sidecar.wait(PATIENCE_S)

    assert code == 0
    assert time.monotonic() - began < MANIFEST.pod["spec"]["terminationGracePeriodSeconds"] / 10
    ready, said = pod.probe("readinessProbe")
    assert not ready
    assert said.startswith("prompt-resolver health: ")
    assert not pod.probe("livenessProbe")[0]
