"""OpenAI's dialect as Azure speaks it: at another path, and with the key in another header."""

from collections.abc import Mapping
from urllib.parse import urlencode

from msgspec.structs import replace
from typing_extensions import override

from ....domain.answers import ModelRequest
from ...dialect import Quirks, WireRequest
from ...wire.paths import write_segment
from .dialect import OpenAIDialect
from .request import build_body

_VERSION = "2025-02-01-preview"
"""What is asked where nobody says, which is what LiteLLM asks."""
_WITHOUT_VERSIONS = frozenset({"v1", "preview", "latest"})
"""What stands for the API that has no versions any more, as LiteLLM names it."""
_NEW_FIELDS = "2024-09-01"
"""Where fields of OpenAI's came in that older versions refuse. Names of no date come after it."""
_OLD = Quirks(
    renames={"max_completion_tokens": "max_tokens"},
    lacks=frozenset({"parallel_tool_calls", "stream_options"}),
)
_NEW = Quirks(renames={"max_tokens": "max_completion_tokens"})


class AzureDialect(OpenAIDialect):
    """A `Dialect`: `POST {base_url}/openai/deployments/{model}/chat/completions?api-version=…`.

    The model's name is that of its deployment. For the API without versions it is in the body
    alone: `POST {base_url}/openai/v1/chat/completions`.
    """

    @override
    def headers(self, key: str | None) -> Mapping[str, str]:
        """Return the header with the key; see `Dialect.headers`."""
        return {"api-key": key} if key else {}

    @override
    def build(self, request: ModelRequest, *, stream: bool, quirks: Quirks) -> WireRequest:
        """Return the request; see `Dialect.build`."""
        version = quirks.api_version or _VERSION
        of_version = _NEW if version >= _NEW_FIELDS else _OLD
        body, dropped = build_body(
            request,
            stream=stream,
            quirks=replace(
                quirks,
                renames={**of_version.renames, **quirks.renames},
                lacks=of_version.lacks | quirks.lacks,
            ),
        )
        return WireRequest(path=_path(request.model, version), body=body, dropped=dropped)


def _path(deployment: str, version: str) -> str:
    if version in _WITHOUT_VERSIONS:
        return "/openai/v1/chat/completions"
    query = urlencode({"api-version": version})
    return f"/openai/deployments/{write_segment(deployment)}/chat/completions?{query}"
