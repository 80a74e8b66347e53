"""The sidecar as the manifest runs it: its arguments, its volumes, its probes, and its end."""

import re
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from prompt_resolver import PromptResolverClient, PromptResolverError
from tests.support.manifest import read_manifest
from tests.support.pod import PATIENCE_S, Pod, make_pod

MANIFEST = read_manifest()
SWAPS = 100
SAID = {"name": "Ada", "company": "Juniper", "message": "Is it here?"}


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    return make_pod(MANIFEST, tmp_path)


@pytest.fixture
def sidecar(pod: Pod) -> Iterator[subprocess.Popen[str]]:
    """The sidecar's process, once its startup probe has succeeded."""
    with pod.running(MANIFEST.sidecar) as process:
        pod.wait_for_probe(process, "startupProbe")
        pod.wait_for_probe(process, "readinessProbe")
        yield process


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

    with pod.running(MANIFEST.sidecar) as process:
        pod.wait_for_probe(process, "startupProbe")

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
    with pod.running(MANIFEST.app) as app:
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
