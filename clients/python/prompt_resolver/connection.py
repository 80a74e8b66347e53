"""What all clients know: where the server is, how to get there, and how to say who calls."""

import json
from collections.abc import Mapping, Sequence
from typing import TypedDict, Unpack

import grpc

from .address import find_address, is_beside
from .credentials import TlsOptions, TokenFile, TokenOptions, read_tls
from .errors import ConfigurationError, PromptResolverError
from .headers import Metadata, is_printable, read_headers
from .requests import ResolveOptions
from .watching import WatchOptions


def _again_at(methods: Sequence[str], *codes: str) -> dict[str, object]:
    """Return which statuses have gRPC try methods again."""
    return {
        "name": [{"service": _SERVICE, "method": method} for method in methods],
        "retryPolicy": {
            "maxAttempts": 3,
            "initialBackoff": "0.1s",
            "maxBackoff": "1s",
            "backoffMultiplier": 2,
            "retryableStatusCodes": codes,
        },
    }


_SERVICE = "prompt_resolver.v1.PromptResolver"
# A server that is being stopped cancels calls that it has not begun. Nothing else of it does.
_SERVICE_CONFIG = {
    "methodConfig": [
        _again_at(["Resolve"], "UNAVAILABLE", "CANCELLED"),
        _again_at(["Complete", "CompleteStream", "WatchPrompts"], "CANCELLED"),
    ],
    # As many as a busy caller may have under way when its server stops.
    "retryThrottling": {"maxTokens": 1000, "tokenRatio": 0.1},
    "loadBalancingConfig": [{"round_robin": {}}],
}
_OPTIONS = (
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    # The most that a server may be set to send.
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    # Requests up to that size are tried again. Unless told otherwise, gRPC silently tries none
    # again that is larger than 256 KiB.
    ("grpc.per_rpc_retry_buffer_size", 64 * 1024 * 1024),
    ("grpc.keepalive_time_ms", 30_000),
    # Unless told otherwise, gRPC pings a server that says nothing less and less often.
    ("grpc.http2.max_pings_without_data", 0),
    # A reader that stalls holds the server back after kilobytes, not megabytes.
    ("grpc.http2.bdp_probe", 0),
    # A server that is back is found within a second: gRPC looks a fifth earlier or later than told,
    # and unless told otherwise every two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 700),
    # As soon is one that has got another address.
    ("grpc.dns_min_time_between_resolutions_ms", 2_000),
    # Each client has a connection of its own. gRPC would have all of a process share one, and its
    # failures: a client that is made anew would be told of an attempt that was not its own.
    ("grpc.use_local_subchannel_pool", 1),
)


class ConnectionOptions(TlsOptions, TokenOptions, total=False):
    """What may be said beside the server's address."""

    tls: grpc.ChannelCredentials | None
    """Credentials that make the connection secure, in place of files."""
    wait_for_ready: bool | None
    """Whether calls wait until the server can be reached, for as long as they may take: by default,
    yes, so that one that is restarted costs time and no call. Else they fail at once."""


class CallOptions(TypedDict):
    """How gRPC is to make a call."""

    timeout: float | None
    metadata: Metadata
    wait_for_ready: bool


class Connection:
    """A way to one server.

    Raises `ConfigurationError` for an address, a token or files that cannot be used.
    """

    def __init__(self, address: str | None, **options: Unpack[ConnectionOptions]) -> None:
        if unknown := options.keys() - ConnectionOptions.__annotations__.keys():
            names = ", ".join(ConnectionOptions.__annotations__)
            raise TypeError(f"unexpected option {min(unknown)!r}; expected some of {names}")
        self._closed = False
        self._token = options.get("token")
        self._wait_for_ready = options.get("wait_for_ready") is not False
        file, tls = options.get("token_file"), options.get("tls")
        if self._token and file is not None:
            raise ValueError("expected token or token_file, got both")
        if self._token and not is_printable(self._token):
            raise ConfigurationError("token: expected printable ASCII")
        try:
            self._address = find_address(address)
            self._token_file = None if file is None else TokenFile(file)
            read = read_tls(options, is_secure=tls is not None)
        except ValueError as error:
            raise ConfigurationError(str(error)) from None
        if tls is not None and read is not None:
            raise ValueError("expected tls or files, got both")
        self._tls = tls or read
        self._options = _channel_options(self._address, options.get("server_name"))

    def _connect(self, *more: tuple[str, int]) -> grpc.Channel:
        """Return a channel to the server, which goes there when it is first used."""
        options = (*self._options, *more)
        if self._tls is not None:
            return grpc.secure_channel(self._address, self._tls, options=options)
        return grpc.insecure_channel(self._address, options=options)

    def _connect_aio(self) -> grpc.aio.Channel:
        """Return one for asyncio, of the running event loop."""
        if self._tls is not None:
            return grpc.aio.secure_channel(self._address, self._tls, options=self._options)
        return grpc.aio.insecure_channel(self._address, options=self._options)

    def _call_options(
        self, options: ResolveOptions | WatchOptions, timeout_s: float | None
    ) -> CallOptions:
        """Return how a call is to be made. Raises `PromptResolverError` where it cannot be."""
        if self._closed:
            raise was_closed()
        return {
            "timeout": timeout_s,
            "metadata": self._metadata(options),
            "wait_for_ready": self._wait_for_ready,
        }

    def _metadata(self, options: ResolveOptions | WatchOptions) -> Metadata:
        credentials: Mapping[str, str] = options.get("credentials") or {}
        token = self._token if self._token_file is None else self._token_file.read()
        own = (("authorization", f"Bearer {token}"),) if token else ()
        return (*own, *read_headers(credentials.items()))

    def _unconnected(self, timeout_s: float | None) -> PromptResolverError:
        """Return what a late call ends in that has no connection to its server."""
        within = "" if timeout_s is None else f" after {round(timeout_s, 1) or timeout_s:g} s"
        return PromptResolverError(
            grpc.StatusCode.DEADLINE_EXCEEDED, f"no connection to {self._address}{within}"
        )


def was_closed() -> PromptResolverError:
    """Return what the calls of a closed client end in."""
    return PromptResolverError(grpc.StatusCode.CANCELLED, "the client was closed")


def is_late(error: PromptResolverError) -> bool:
    """Tell whether it is this side that ended a call at its deadline, without a word of why."""
    return error.code == grpc.StatusCode.DEADLINE_EXCEEDED and not error.reason


def _channel_options(address: str, server_name: str | None) -> tuple[tuple[str, str | int], ...]:
    # gRPC would ask a proxy of the environment's even for what is beside the caller.
    beside = (("grpc.enable_http_proxy", 0),) if is_beside(address) else ()
    named = (("grpc.ssl_target_name_override", server_name),) if server_name else ()
    return (*_OPTIONS, *beside, *named)
