"""What OpenTelemetry calls what is counted."""

import inspect

import pytest
from opentelemetry.semconv._incubating.metrics import (
    gen_ai_metrics,
    process_metrics,
    rpc_metrics,
)

from prompt_resolver_server.metrics.names import CONVENTIONS, find_name, translate
from tests.support.promql import list_registered


def test_conventions() -> None:
    """What is said to have a name in the conventions has it there, with its unit."""
    known = {
        value: inspect.getsource(module)
        for module in (gen_ai_metrics, process_metrics, rpc_metrics)
        for value in vars(module).values()
        if isinstance(value, str) and "." in value
    }
    for name in CONVENTIONS.values():
        assert name.name in known
        assert f'unit="{name.unit}"' in known[name.name]


def test_everything_of_ours_has_a_name() -> None:
    """Every family of the service has a name, and no two have one."""
    families = {
        name.removesuffix("_count").removesuffix("_total")
        for name in list_registered()
        if not name.endswith(("_bucket", "_sum", "_info"))
    }
    named = {family: find_name(family) for family in families}

    assert {family for family, name in named.items() if name is None} == {
        family
        for family in families
        if family.startswith(("python_", "process_")) and family not in CONVENTIONS
    }
    names = [name.name for name in named.values() if name is not None]
    assert len({*names}) == len(names)


@pytest.mark.parametrize(
    ("family", "name", "unit"),
    [
        ("prompt_resolver_overhead_seconds", "prompt_resolver.overhead", "s"),
        ("prompt_resolver_template_cache_bytes", "prompt_resolver.template_cache", "By"),
        ("prompt_resolver_cost_usd", "prompt_resolver.cost", "{USD}"),
        ("prompt_resolver_tokens", "prompt_resolver.tokens", "1"),
        ("grpc_server_handled", "prompt_resolver.grpc_server_handled", "1"),
    ],
)
def test_own_names(family: str, name: str, unit: str) -> None:
    """What the conventions do not name keeps its name, without the unit that stands beside it."""
    found = find_name(family)

    assert found is not None
    assert (found.name, found.unit, found.is_convention) == (name, unit, False)


@pytest.mark.parametrize(
    ("family", "labels", "attributes"),
    [
        (
            "grpc_server_handling_seconds",
            {"grpc_type": "UNARY", "grpc_service": "p.S", "grpc_method": "M"},
            {"rpc.system.name": "grpc", "rpc.method": "p.S/M"},
        ),
        (
            "prompt_resolver_upstream_request_duration_seconds",
            {"provider": "gemini", "model": "m", "outcome": "ok"},
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "gcp.gemini",
                "gen_ai.request.model": "m",
            },
        ),
        (
            "prompt_resolver_upstream_request_duration_seconds",
            {"provider": "p", "model": "m", "outcome": "upstream_timeout"},
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "p",
                "gen_ai.request.model": "m",
                "error.type": "upstream_timeout",
            },
        ),
        (
            "prompt_resolver_http_requests",
            {"route": "models", "status": "499"},
            {"http.route": "models", "http.response.status_code": 499},
        ),
        (
            "prompt_resolver_template_fetch_duration_seconds",
            {"store": "s", "outcome": "ok"},
            {"prompt_resolver.store": "s", "prompt_resolver.outcome": "ok"},
        ),
    ],
)
def test_attributes(family: str, labels: dict[str, str], attributes: dict[str, str | int]) -> None:
    """Labels become attributes in the conventions' words, as far as they have any."""
    name = find_name(family)

    assert name is not None
    assert translate(name, labels) == attributes
