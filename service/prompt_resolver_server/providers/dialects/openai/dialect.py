"""OpenAI's chat completions dialect, which most providers and local servers speak."""

from collections.abc import Mapping

from ....domain.answers import Answer, ModelRequest
from ....domain.errors import Reason
from ...dialect import Quirks, StreamReader, WireRequest
from ...wire.sse import EVENT_STREAM
from .failures import classify_error
from .request import build_body
from .response import parse_answer
from .stream import OpenAIStreamReader


class OpenAIDialect:
    """A `Dialect`: `POST {base_url}/chat/completions`, streamed as server-sent events."""

    stream_type = EVENT_STREAM
    lacks_forms: frozenset[str] = frozenset()

    def headers(self, key: str | None) -> Mapping[str, str]:
        """Return the bearer header; see `Dialect.headers`."""
        return {"Authorization": f"Bearer {key}"} if key else {}

    def build(self, request: ModelRequest, *, stream: bool, quirks: Quirks) -> WireRequest:
        """Return the request; see `Dialect.build`."""
        body, dropped = build_body(request, stream=stream, quirks=quirks)
        return WireRequest(path="/chat/completions", body=body, dropped=dropped)

    def parse(self, body: bytes) -> Answer:
        """Return the answer; see `Dialect.parse`."""
        return parse_answer(body)

    def read_stream(self, quirks: Quirks) -> StreamReader:
        """Return a reader; see `Dialect.read_stream`."""
        return OpenAIStreamReader(says_done="[DONE]" not in quirks.lacks)

    def classify(self, status: int, body: bytes) -> Reason | None:
        """Return the reason in an error's body; see `Dialect.classify`."""
        return classify_error(status, body)
