"""Anthropic's Messages dialect, which some other servers speak, too."""

from collections.abc import Mapping

from ....domain.answers import Answer, ModelRequest
from ....domain.errors import Reason
from ...dialect import Quirks, StreamReader, WireRequest
from ...wire.sse import EVENT_STREAM
from .failures import classify_error
from .request import build_body
from .response import parse_answer
from .stream import AnthropicStreamReader

_VERSION = "2023-06-01"


class AnthropicDialect:
    """A `Dialect`: `POST {base_url}/v1/messages`, streamed as server-sent events."""

    stream_type = EVENT_STREAM
    lacks_forms = frozenset({"json_object"})

    def headers(self, key: str | None) -> Mapping[str, str]:
        """Return the version of the API, and the key; see `Dialect.headers`."""
        version = {"anthropic-version": _VERSION}
        return {**version, "x-api-key": key} if key else version

    def build(self, request: ModelRequest, *, stream: bool, quirks: Quirks) -> WireRequest:
        """Return the request; see `Dialect.build`."""
        body, dropped = build_body(request, stream=stream, quirks=quirks)
        return WireRequest(path="/v1/messages", body=body, dropped=dropped)

    def parse(self, body: bytes) -> Answer:
        """Return the answer; see `Dialect.parse`."""
        return parse_answer(body)

    def read_stream(self, quirks: Quirks) -> StreamReader:
        """Return a reader; see `Dialect.read_stream`."""
        return AnthropicStreamReader()

    def classify(self, status: int, body: bytes) -> Reason | None:
        """Return the reason in an error's body; see `Dialect.classify`."""
        return classify_error(body)
