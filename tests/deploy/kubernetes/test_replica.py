"""A pod of the shared service as it is rendered: its commands, its volumes, and its end."""

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from prompt_resolver import PromptResolverClient, PromptResolverError
from tests.support.certificates import Authority, connection_options
from tests.support.manifest import Manifest
from tests.support.pod import PATIENCE_S, Pod, make_pod

PROMPT = (
    "---\nmodel: parrot\nprovider: echo\nendpoint: chat\n---\n<user>\nHello, {{name}}.\n</user>\n"
)
OURS = """
server:
  grpc_address: 0.0.0.0:50051
  http_address: 0.0.0.0:4000
  admin_address: 0.0.0.0:9090
  drain_s: 60
  state_dir: /state
callers: {app: {token: 'file:/callers/app'}}
stores: {local: {type: directory, path: /prompts}}
"""
# What is not rendered, as it is somebody else's.
FILES = {
    "/callers": {"app": "token-of-app"},
    "/authorities": {"ca.crt": "nothing reads it"},
}
THEIRS = {"/config": {"config.yaml": OURS}, "/prompts": {"greeting.prompt": PROMPT}}

each_replica = pytest.mark.parametrize(
    "manifest", ["kustomize/shared", "helm/shared", "helm/existing"], indirect=True
)


@pytest.fixture
def pod(manifest: Manifest, tmp_path: Path) -> Pod:
    theirs = {} if manifest.all_of("ConfigMap") else THEIRS
    return make_pod(manifest, tmp_path, {**FILES, **theirs})


@pytest.fixture
def replica(pod: Pod) -> Iterator[subprocess.Popen[str]]:
    """The container's process, once it is ready."""
    with pod.running(pod.manifest.resolver) as process:
        pod.wait_for_probe(process, "startupProbe")
        pod.wait_for_probe(process, "readinessProbe")
        yield process


@each_replica
def test_serves_callers(pod: Pod, replica: subprocess.Popen[str]) -> None:
    """Who has the token gets the prompt that is mounted, and nobody else does."""
    with PromptResolverClient(pod.grpc_address, token="token-of-app") as client:
        answer = client.complete("greeting", variables={"name": "Ada"})
    with (
        PromptResolverClient(pod.grpc_address) as client,
        pytest.raises(PromptResolverError) as caught,
    ):
        client.resolve("greeting", variables={"name": "Ada"})

    assert "Ada" in answer.message.content[0].text
    assert caught.value.code is grpc.StatusCode.UNAUTHENTICATED
    assert pod.probe("livenessProbe") == (True, "ok\n")


@each_replica
def test_end(pod: Pod, replica: subprocess.Popen[str]) -> None:
    """SIGTERM, which comes after the preStop, ends it with 0; then no probe succeeds."""
    replica.send_signal(signal.SIGTERM)

    said = replica.communicate(timeout=PATIENCE_S)
    assert replica.returncode == 0, said
    assert not pod.probe("readinessProbe")[0]
    assert not pod.probe("livenessProbe")[0]


@pytest.mark.parametrize("manifest", ["kustomize/shared"], indirect=True)
def test_not_before_its_prompts(pod: Pod) -> None:
    """It is started, and not ready, while a prompt is missing that it must have."""
    config = pod.manifest.files("/config")["config.yaml"]
    lacking = config.replace("prefetch: [greeting]", "prefetch: [nobody]")
    assert lacking != config
    pod.volumes["/config"].update({"config.yaml": pod.place(lacking)})

    with pod.running(pod.manifest.resolver) as process:
        pod.wait_for_probe(process, "startupProbe")

        assert not pod.probe("readinessProbe")[0]


@pytest.mark.parametrize("manifest", ["kustomize/plain-sidecar"], indirect=True)
def test_plain_sidecar_is_waited_for(pod: Pod) -> None:
    """The hook that the app waits for ends once the service serves, and not before."""
    container = pod.manifest.resolver
    command = container["lifecycle"]["postStart"]["exec"]["command"]

    with pod.start(command, {}) as hook, pod.running(container) as process:
        hook_code = hook.wait(PATIENCE_S)
        assert pod.probe("startupProbe")[0]
        process.send_signal(signal.SIGTERM)
        code = process.wait(PATIENCE_S)

    assert (hook_code, code) == (0, 0)


@pytest.mark.parametrize("manifest", ["kustomize/plain-sidecar"], indirect=True)
def test_plain_sidecar_that_never_serves(pod: Pod) -> None:
    """Without a service the hook fails in the end, so that the container is started anew."""
    timeout, limit_s, *rest = pod.manifest.resolver["lifecycle"]["postStart"]["exec"]["command"]

    with pod.start([timeout, "1", *rest], {}) as hook:
        hook.communicate(timeout=PATIENCE_S)

    assert timeout == "timeout"
    assert int(limit_s) == 60
    assert hook.returncode != 0


@pytest.mark.parametrize("manifest", ["helm/mtls"], indirect=True)
def test_serves_callers_with_certificates(manifest: Manifest, tmp_path: Path) -> None:
    """Whoever shows a certificate needs no token, nobody else is let in, and probes go on."""
    (tmp_path / "pod").mkdir()
    authority = Authority(tmp_path)
    served, shown = authority.issue("127.0.0.1"), authority.write("app", "app.shop")
    secret = {
        "tls.crt": served.certificate.decode(),
        "tls.key": served.key.decode(),
        "ca.crt": authority.pem.decode(),
    }
    pod = make_pod(manifest, tmp_path / "pod", {"/tls": secret})
    said = {"company": "Juniper", "message": "Is it here?"}

    with pod.running(manifest.resolver) as process:
        pod.wait_for_probe(process, "startupProbe")
        pod.wait_for_probe(process, "readinessProbe")
        with PromptResolverClient(
            pod.grpc_address, **connection_options(authority, shown)
        ) as client:
            prompt = client.resolve("support/reply", variables=said)
        with (
            PromptResolverClient(
                pod.grpc_address, wait_for_ready=False, **connection_options(authority)
            ) as nobody,
            pytest.raises(PromptResolverError) as caught,
        ):
            nobody.resolve("support/reply", variables=said)
        alive = pod.probe("livenessProbe")

    assert prompt.prompt.id == "support/reply"
    assert caught.value.code is grpc.StatusCode.UNAVAILABLE
    assert alive == (True, "ok\n")


@pytest.mark.parametrize("manifest", ["kustomize/shared"], indirect=True)
def test_configuration_changes(pod: Pod, replica: subprocess.Popen[str]) -> None:
    """A change of its ConfigMap is taken by the pod that runs, and what is wrong by none."""
    text = pod.manifest.files("/config")["config.yaml"]
    changed = text.replace("callers:\n", "callers:\n  billing: {token: 'file:/callers/billing'}\n")
    pod.volumes["/callers"].update({"app": "token-of-app", "billing": "token-of-billing"})

    pod.volumes["/config"].update({"config.yaml": "server: {nonsense: 1}\n"})
    wait_for_metric(pod, 'prompt_resolver_config_reloads_total{outcome="refused"} 1.0')
    pod.volumes["/config"].update({"config.yaml": pod.place(changed)})
    wait_for_metric(pod, 'prompt_resolver_config_reloads_total{outcome="ok"} 1.0')
    for name in ("app", "billing"):
        with PromptResolverClient(pod.grpc_address, token=f"token-of-{name}") as client:
            assert client.resolve("greeting", variables={"name": "Ada"}).messages

    assert replica.poll() is None


def wait_for_metric(pod: Pod, line: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while line not in pod.get("/metrics")[1].splitlines():
        assert time.monotonic() < deadline
