"""What the documents show and the reader of them does not do, and what sees to it instead."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Elsewhere:
    """Commands that begin so: why they are not run here, and which test or script holds them."""

    begins: str
    why: str
    held_by: str


_SETS_UP = "sets up, or runs, a whole checkout"
_NO_CLUSTER = "there is no cluster"
_NO_REGISTRY = "there is no registry"
_BUILDS = "takes a toolchain, and minutes"

ELSEWHERE = (
    Elsewhere("make run", _SETS_UP, ".ci/first-run"),
    Elsewhere("make test", "is what runs this", ".ci/run"),
    Elsewhere("make install", _SETS_UP, ".ci/first-run"),
    Elsewhere(". .venv/bin/activate", "is what runs this", ".ci/first-run"),
    Elsewhere("make image", _BUILDS, "tests/deploy/test_image.py"),
    Elsewhere("docker run", _BUILDS, "tests/deploy/test_image.py"),
    Elsewhere("docker tag", _NO_REGISTRY, "tests/deploy/test_podman.py"),
    Elsewhere("docker push", _NO_REGISTRY, "tests/deploy/test_podman.py"),
    Elsewhere("sed s,registry.example", _NO_CLUSTER, "tests/deploy/kubernetes/test_manifest.py"),
    Elsewhere("sed 's,runbook_url", "needs a checkout around it", "tests/deploy/test_rules.py"),
    Elsewhere("kubectl apply", _NO_CLUSTER, "tests/deploy/kubernetes/test_manifest.py"),
    Elsewhere("kubectl logs", _NO_CLUSTER, "tests/deploy/test_podman.py"),
    Elsewhere("kubectl create", _NO_CLUSTER, "tests/deploy/kubernetes/test_chart.py"),
    Elsewhere("kubectl rollout", _NO_CLUSTER, "tests/deploy/test_podman.py"),
    Elsewhere("kubectl port-forward", _NO_CLUSTER, "tests/http/page/test_visitors.py"),
    Elsewhere("kubectl kustomize", _BUILDS, "tests/deploy/kubernetes/test_manifest.py"),
    Elsewhere("helm install", _NO_CLUSTER, "tests/deploy/kubernetes/test_chart.py"),
    Elsewhere("helm template", _NO_CLUSTER, "tests/deploy/kubernetes/test_manifest.py"),
    Elsewhere("helm upgrade", _NO_CLUSTER, "tests/deploy/kubernetes/test_chart.py"),
    Elsewhere("helm dependency", _BUILDS, "tests/deploy/kubernetes/test_library.py"),
    Elsewhere("envoy -c", _BUILDS, "tests/clients/test_browser.py"),
    Elsewhere("go build", _BUILDS, "tests/clients/test_foreign.py"),
    Elsewhere("go mod edit", "needs a checkout beside it", "tests/clients/test_go.py"),
    Elsewhere("go mod tidy", "needs a module around it", "tests/clients/test_go.py"),
    Elsewhere("buf generate", _BUILDS, "tests/clients/test_go.py"),
    Elsewhere("mvn -q test-compile", _BUILDS, "tests/clients/test_foreign.py"),
    Elsewhere("mvn -q install", _BUILDS, "tests/clients/test_java.py"),
    Elsewhere("npm ci", _BUILDS, "tests/clients/test_node.py"),
    Elsewhere("npm run generate", _BUILDS, "tests/clients/test_node.py"),
    Elsewhere("npm install", _NO_REGISTRY, "tests/clients/test_node.py"),
    Elsewhere("node dist/example.js", _BUILDS, "tests/clients/test_foreign.py"),
    Elsewhere("pip install", _NO_REGISTRY, "tests/test_pages.py"),
    Elsewhere(".venv/bin/python -m pytest", "is a test itself", ".ci/run"),
    Elsewhere("promtool test rules", "is a test itself", "tests/deploy/test_rules.py"),
    Elsewhere("python -m deploy.grafana", "writes into the tree", "tests/deploy/test_dashboard.py"),
    Elsewhere("python -m tests.support.provider_table", "prints a page", "tests/test_docs.py"),
)

# What is shown in languages that the reader does not speak.
LANGUAGES = {
    "go": "tests/clients/test_go.py",
    "http": "tests/http/humanloop/test_routes.py",
    "java": "tests/clients/test_java.py",
    "promql": "tests/test_docs.py",
    "ts": "tests/clients/test_node.py",
    "xml": "tests/clients/test_java.py",
    "yaml": "tests/test_docs.py",
}

# Pages whose programs are read as one, by a test of their own.
PROGRAMS = {"clients/python/README.md": "tests/clients/test_python.py"}


def is_elsewhere(command: str) -> bool:
    """Tell whether a command is one of these."""
    return any(command.startswith(each.begins) for each in ELSEWHERE)
