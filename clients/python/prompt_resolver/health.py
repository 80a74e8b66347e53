"""The command `prompt-resolver health`: asks a running service whether it serves.

It is a probe, which is run anew every few seconds beside the service. So it imports no more than
gRPC, and writes and reads the two messages of `grpc.health.v1` itself: each has one field.
"""

import sys
from argparse import ArgumentTypeError
from collections.abc import Sequence

import grpc

from .address import DEFAULT_ADDRESS, find_address
from .arguments import INTERRUPTED, USAGE_ERROR, ArgumentParser, read_seconds
from .credentials import TlsOptions, add_tls_arguments, find_tls_options, read_tls

TIMEOUT_S = 3.0
_MAX_SERVICE_BYTES = 127
# The tag of `HealthCheckRequest.service`, and what `HealthCheckResponse` can be.
_SERVICE = b"\x0a"
_SERVING = "SERVING"
_STATUSES = {
    b"": "UNKNOWN",
    b"\x08\x01": _SERVING,
    b"\x08\x02": "NOT_SERVING",
    b"\x08\x03": "SERVICE_UNKNOWN",
}
# A probe asks the service beside it: no proxy is on the way, whatever the environment says.
_OPTIONS = (("grpc.enable_http_proxy", 0),)


def main(arguments: Sequence[str]) -> int:
    """Return 0 if the service serves; else tell what came in one line, and return 1."""
    parsed = _parser().parse_args(arguments)
    address = parsed.address
    try:
        address = find_address(parsed.address)
        with _connect(address, find_tls_options(vars(parsed))) as channel:
            came = _check(channel, parsed.service, parsed.timeout)
    except KeyboardInterrupt:
        return INTERRUPTED
    except UnicodeEncodeError:
        print(f"prompt-resolver health: expected UTF-8, got {address!r}", file=sys.stderr)
        return USAGE_ERROR
    except ValueError as error:
        print(f"prompt-resolver health: {error}", file=sys.stderr)
        return USAGE_ERROR
    if came == _SERVING:
        return 0
    print(f"prompt-resolver health: {address}: {came}", file=sys.stderr)
    return 1


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="prompt-resolver health",
        description="Exit with 0 if the service serves, else with 1 and the reason."
        " Needs no token.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--address",
        help=f"where the service is (PROMPT_RESOLVER_ADDRESS, else {DEFAULT_ADDRESS})",
    )
    parser.add_argument(
        "--service",
        type=_read_service,
        default="readiness",
        metavar="NAME",
        help="whose health is asked for (%(default)s)",
    )
    add_tls_arguments(parser)
    parser.add_argument(
        "--timeout",
        type=read_seconds,
        default=TIMEOUT_S,
        metavar="SECONDS",
        help="how long the answer may take (%(default)g)",
    )
    return parser


def _read_service(text: str) -> str:
    if len(text.encode()) > _MAX_SERVICE_BYTES:
        raise ArgumentTypeError(f"expected no more than {_MAX_SERVICE_BYTES} bytes")
    return text


def _connect(address: str, options: TlsOptions) -> grpc.Channel:
    tls, name = read_tls(options), options.get("server_name")
    if tls is None:
        return grpc.insecure_channel(address, options=_OPTIONS)
    named = (("grpc.ssl_target_name_override", name),) if name else ()
    return grpc.secure_channel(address, tls, options=(*_OPTIONS, *named))


def _check(channel: grpc.Channel, service: str, timeout_s: float) -> str:
    name = service.encode()
    check: grpc.UnaryUnaryMultiCallable[bytes, bytes]
    check = channel.unary_unary("/grpc.health.v1.Health/Check")
    try:
        response = check(_SERVICE + bytes([len(name)]) + name, timeout=timeout_s)
    except grpc.RpcError as error:
        return _describe(error, service, timeout_s)
    return _STATUSES.get(response, "an answer that is none to a health check")


def _describe(error: grpc.RpcError, service: str, timeout_s: float) -> str:
    assert isinstance(error, grpc.Call)
    match error.code():
        case grpc.StatusCode.NOT_FOUND:
            return f"unknown service {service!r}"
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return f"no answer within {timeout_s:g} s"
        case code:
            return " ".join(f"{code.name}: {error.details()}".split())
