"""Google's Gemini dialect, at the two places where it is spoken."""

from collections.abc import Mapping

from msgspec.structs import replace
from typing_extensions import override

from ....domain.answers import Answer, ModelRequest
from ....domain.errors import Reason
from ...dialect import Quirks, StreamReader, WireRequest
from ...wire.paths import write_segment
from ...wire.sse import EVENT_STREAM
from .failures import classify_error
from .request import build_body
from .response import parse_answer
from .stream import GeminiStreamReader

_VERSION = "v1beta"
_STORE = frozenset({"store"})


class GeminiDialect:
    """A `Dialect`: `POST {base_url}/v1beta/models/{model}:generateContent`, or `:stream…`.

    A model may be written as the API's resource, too: `models/…` and `tunedModels/…`.
    """

    stream_type = EVENT_STREAM
    lacks_forms: frozenset[str] = frozenset()

    def headers(self, key: str | None) -> Mapping[str, str]:
        """Return the header that carries a key; see `Dialect.headers`."""
        return {"x-goog-api-key": key} if key else {}

    def build(self, request: ModelRequest, *, stream: bool, quirks: Quirks) -> WireRequest:
        """Return the request; see `Dialect.build`."""
        body, dropped = build_body(request, quirks)
        method = "streamGenerateContent?alt=sse" if stream else "generateContent"
        path = f"{self._resource(request.model, quirks)}:{method}"
        return WireRequest(path=path, body=body, dropped=dropped)

    def parse(self, body: bytes) -> Answer:
        """Return the answer; see `Dialect.parse`."""
        return parse_answer(body)

    def read_stream(self, quirks: Quirks) -> StreamReader:
        """Return a reader; see `Dialect.read_stream`."""
        return GeminiStreamReader()

    def classify(self, status: int, body: bytes) -> Reason | None:
        """Return the reason in an error's body; see `Dialect.classify`."""
        return classify_error(body)

    def _resource(self, model: str, quirks: Quirks) -> str:
        """Return the path of a model, which cannot become another path."""
        kind, slash, name = model.partition("/")
        if not slash or kind not in ("models", "tunedModels"):
            kind, name = "models", model
        return f"/{quirks.api_version or _VERSION}/{kind}/{write_segment(name)}"


class VertexDialect(GeminiDialect):
    """The same below a project's location: `POST {base_url}/publishers/google/models/{model}:…`.

    A model that is a number is an endpoint of the project's own, as it is after `gemini/`.
    """

    @override
    def build(self, request: ModelRequest, *, stream: bool, quirks: Quirks) -> WireRequest:
        """Return the request, which says nothing of storing it; see `Dialect.build`."""
        quirks = replace(quirks, lacks=quirks.lacks | _STORE)
        return super().build(request, stream=stream, quirks=quirks)

    @override
    def _resource(self, model: str, quirks: Quirks) -> str:
        endpoint = model.removeprefix("gemini/")
        if endpoint.isascii() and endpoint.isdecimal():
            return f"/endpoints/{endpoint}"
        return f"/publishers/google/models/{write_segment(model)}"
