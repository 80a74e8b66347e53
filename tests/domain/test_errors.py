"""Every failure has a reason, every reason a status, and both are in the contract."""

import re
import time
from pathlib import Path
from urllib.parse import quote

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from prompt_resolver.v1 import error_reason_pb2
from prompt_resolver_server.domain.errors import Blame, Reason, ResolverError, Resource, Violation
from prompt_resolver_server.providers.failures import Failures
from prompt_resolver_server.rpc.status import DETAILS_KEY, PUSHBACK_KEY, STATUSES, to_status

PROTO = Path(__file__).parents[2] / "protos" / "prompt_resolver" / "v1" / "error_reason.proto"
NAMES = [
    name.removeprefix("ERROR_REASON_")
    for name in error_reason_pb2.DESCRIPTOR.enum_types_by_name["ErrorReason"].values_by_name
    if name != "ERROR_REASON_UNSPECIFIED"
]


def test_reasons_are_the_contracts() -> None:
    """The reasons in the code are exactly those in the contract."""
    assert [reason.value for reason in Reason] == NAMES


def test_every_reason_has_a_status() -> None:
    """The table of statuses is complete."""
    assert set(STATUSES) == set(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_the_contract_tells_the_status(reason: Reason) -> None:
    """The comment of each reason in the contract names every status that it travels as."""
    comment = re.search(rf"((?:  //.*\n)+)  ERROR_REASON_{reason} =", PROTO.read_text())
    assert comment is not None
    row = STATUSES[reason]
    codes = {row.code, *(row.by_blame or {}).values()}

    told = {code for code in grpc.StatusCode if re.search(rf"\b{code.name}\b", comment[1])}

    assert told == codes


@pytest.mark.timed
def test_text_without_measure() -> None:
    """What a caller names may be as long as a message, and takes no time to be cut."""
    name = "\u00e9" * 2_000_000
    error = ResolverError(Reason.ALIAS_UNKNOWN, f"no alias {name!r}", metadata={"alias": name})
    began = time.process_time()

    status = to_status(error, repeatable=True)

    assert time.process_time() - began < 0.2
    assert status.message.startswith("no alias")
    assert len(quote(status.message)) < 10_000


def test_details() -> None:
    """An error travels with one `ErrorInfo` and with whatever else it knows."""
    error = ResolverError(
        Reason.UPSTREAM_RATE_LIMITED,
        "slow down",
        metadata={"provider": "p"},
        violations=(Violation("f", "wrong"),),
        resource=Resource("model", "m"),
        retry_after_s=1.5,
    )

    status = to_status(error, repeatable=True)

    trailers = dict(status.trailers)
    wire = status_pb2.Status.FromString(trailers[DETAILS_KEY])
    assert (wire.code, wire.message) == (status.code.value[0], "slow down")
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    assert [each.TypeName().rpartition(".")[2] for each in wire.details] == [
        *("ErrorInfo", "RetryInfo", "QuotaFailure", "ResourceInfo", "BadRequest")
    ]
    wire.details[0].Unpack(info)
    wire.details[1].Unpack(retry)
    assert (info.reason, info.domain) == ("UPSTREAM_RATE_LIMITED", "prompt-resolver")
    assert dict(info.metadata) == {"provider": "p"}
    assert retry.retry_delay.ToMilliseconds() == 1500
    assert trailers[PUSHBACK_KEY] == "1500"


@pytest.mark.parametrize(
    ("reason", "repeatable", "pushback"),
    [
        (Reason.UPSTREAM_UNAVAILABLE, True, None),
        (Reason.UPSTREAM_UNAVAILABLE, False, "-1"),
        (Reason.UPSTREAM_TRUNCATED, True, "-1"),
        (Reason.UPSTREAM_QUOTA, True, "-1"),
        (Reason.UPSTREAM_PROTOCOL, False, "-1"),
        (Reason.VARIABLES_INVALID, False, "-1"),
        (Reason.VARIABLES_INVALID, True, None),
    ],
)
def test_pushback(reason: Reason, repeatable: bool, pushback: str | None) -> None:
    """Clients are kept from repeating what is not free to repeat, by the header that they obey."""
    status = to_status(ResolverError(reason, "m"), repeatable=repeatable)

    assert dict(status.trailers).get(PUSHBACK_KEY) == pushback


@pytest.mark.parametrize(
    ("metadata", "after_s", "pushback"),
    [
        ({}, 1.5, "1500"),
        ({"attempts": "2"}, 1.5, "-1"),
        ({"chunks": "3"}, 1.5, "-1"),
        ({}, None, "-1"),
    ],
)
def test_pushback_of_a_limited_completion(
    metadata: dict[str, str], after_s: float | None, pushback: str
) -> None:
    """A completion that was turned away may be called again in time, unless that costs more."""
    error = ResolverError(
        Reason.UPSTREAM_RATE_LIMITED, "m", metadata=metadata, retry_after_s=after_s
    )

    status = to_status(error, repeatable=False)

    assert dict(status.trailers)[PUSHBACK_KEY] == pushback


@pytest.mark.parametrize(
    ("reason", "blame", "code"),
    [
        (Reason.STORE_AUTH, Blame.OPERATOR, grpc.StatusCode.FAILED_PRECONDITION),
        (Reason.STORE_AUTH, Blame.CALLER, grpc.StatusCode.UNAUTHENTICATED),
        (Reason.PROVIDER_UNKNOWN, Blame.OPERATOR, grpc.StatusCode.FAILED_PRECONDITION),
        (Reason.PROVIDER_UNKNOWN, Blame.CALLER, grpc.StatusCode.INVALID_ARGUMENT),
        (Reason.UPSTREAM_AUTH_CALLER_KEY, Blame.CALLER, grpc.StatusCode.UNAUTHENTICATED),
        (
            Reason.UPSTREAM_AUTH_CALLER_KEY,
            Blame.CALLER_DENIED,
            grpc.StatusCode.PERMISSION_DENIED,
        ),
    ],
)
def test_status_by_blame(reason: Reason, blame: Blame, code: grpc.StatusCode) -> None:
    """Where it matters who has to act, the status tells."""
    assert to_status(ResolverError(reason, "m", blame=blame), repeatable=True).code == code


@pytest.mark.parametrize("character", ["x", "é", "\n", "😀", "%"])
def test_details_fit_into_headers(character: str) -> None:
    """However long an error's texts are, it fits into what gRPC takes as headers."""
    text = character * 10_000
    error = ResolverError(
        Reason.VARIABLES_INVALID,
        text,
        metadata={"missing": text, "id": text},
        violations=tuple(Violation(f"{text}{n}", text) for n in range(1000)),
        resource=Resource("prompt", text),
    )

    status = to_status(error, repeatable=True)

    details = dict(status.trailers)[DETAILS_KEY]
    assert len(quote(status.message, safe="")) <= 3 * 1024
    assert len(details) * 4 / 3 <= 6 * 1024
    assert status.message.endswith("…")


def test_every_failure_of_a_provider_has_a_text() -> None:
    """No reason that a provider's failure can have lacks its words."""
    failures = Failures(provider="p", model="m", with_caller_key=False)
    upstream = [reason for reason in Reason if reason.startswith("UPSTREAM_")]

    for reason in upstream:
        assert failures.of(reason).message.startswith("provider 'p' ")
    for status in range(300, 600):
        assert failures.of_status(status, None).metadata["http_status"] == str(status)
