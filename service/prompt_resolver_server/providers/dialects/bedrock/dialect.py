"""The Converse dialect of AWS Bedrock, which is the same for all models there."""

from collections.abc import Mapping

from ....domain.answers import Answer, ModelRequest
from ....domain.errors import Reason
from ...dialect import Quirks, StreamReader, WireRequest
from ...wire.event_stream import EVENT_STREAM
from .failures import classify_error
from .model import write_path
from .request import build_body
from .response import parse_answer
from .stream import BedrockStreamReader


class BedrockDialect:
    """A `Dialect`: `POST {base_url}/model/{model}/converse`, streamed as Amazon's event stream."""

    stream_type = EVENT_STREAM
    lacks_forms = frozenset({"json_object"})

    def headers(self, key: str | None) -> Mapping[str, str]:
        """Return the header that carries a key; see `Dialect.headers`."""
        return {"Authorization": f"Bearer {key}"} if key else {}

    def build(self, request: ModelRequest, *, stream: bool, quirks: Quirks) -> WireRequest:
        """Return the request; see `Dialect.build`."""
        body, dropped = build_body(request, quirks)
        path = write_path(request.model, "converse-stream" if stream else "converse")
        return WireRequest(path=path, body=body, dropped=dropped)

    def parse(self, body: bytes) -> Answer:
        """Return the answer; see `Dialect.parse`."""
        return parse_answer(body)

    def read_stream(self, quirks: Quirks) -> StreamReader:
        """Return a reader; see `Dialect.read_stream`. Raises PROVIDER_UNKNOWN without the extra."""
        return BedrockStreamReader()

    def classify(self, status: int, body: bytes) -> Reason | None:
        """Return the reason in an error's body; see `Dialect.classify`."""
        return classify_error(status, body)
