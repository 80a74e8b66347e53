"""`grpcurl`, which nobody here wrote, watches and operates, knowing the contract by reflection."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.operator import ADMIN_DOOR
from tests.support.service import ServiceProcess, service_process

pytestmark = pytest.mark.foreign

DATA = "prompt_resolver.v1.PromptResolver"
ADMIN = "prompt_resolver.v1.PromptResolverAdmin"
PROMPT = {"id": "support/reply", "store": "examples"}


@pytest.fixture(scope="module")
def grpcurl(require_all: bool) -> str:
    """Where `grpcurl` is."""
    found = shutil.which("grpcurl", path=Path(sys.executable).parent)
    if found is None:
        (pytest.fail if require_all else pytest.skip)("not installed: grpcurl")
    return found


@pytest.fixture(scope="module")
def service() -> Iterator[ServiceProcess]:
    with service_process(environ=ADMIN_DOOR) as running:
        yield running


def run(*command: str) -> str:
    """Return what a command says, on either of its outputs."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr


def test_watching(grpcurl: str, service: ServiceProcess) -> None:
    """A watch says when its snapshot is complete, tells how the prompt is, and ends in time."""
    request = json.dumps({"prompts": [PROMPT]})

    said = run(
        *(grpcurl, "-plaintext", "-max-time", "2", "-v", "-d", request),
        *(service.address, f"{DATA}/WatchPrompts"),
    )

    complete_at = re.search(r"x-snapshot-revision: (\d+)", said)
    revision = re.search(r'"revision": "(\d+)"', said)
    assert complete_at is not None
    assert revision is not None
    assert complete_at[1] == revision[1]
    assert '"change": "CHANGE_SNAPSHOT"' in said
    assert "received 1 response" in said
    assert "DeadlineExceeded" in said


def test_operating(grpcurl: str, service: ServiceProcess) -> None:
    """What is fetched is listed and dropped, and a resolve is explained."""

    def call(method: str, request: object) -> Any:
        address, text = service.door("admin_grpc"), json.dumps(request)
        return json.loads(run(grpcurl, "-plaintext", "-d", text, address, f"{ADMIN}/{method}"))

    fetched = call("PrefetchPrompts", {"prompts": [PROMPT]})
    listed = call("ListPrompts", {"pageSize": 10})
    dropped = call("InvalidatePrompts", {"prompts": [PROMPT]})
    explained = call("ExplainResolve", {"request": {"prompt": PROMPT}})

    assert fetched["results"][0]["prompt"]["id"] == PROMPT["id"]
    assert [held["ref"] for held in listed["prompts"]] == [PROMPT]
    assert dropped == {"dropped_count": "1"}
    assert [step["name"] for step in explained["steps"]][:4] == ["alias", "store", "cache", "fetch"]
    assert explained["steps"][-1]["details"]["reason"] == "VARIABLES_INVALID"
