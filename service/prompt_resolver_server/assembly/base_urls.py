"""Base URLs that end in what requests have after them: as a vendor's guide has them, or a slip."""

from ..domain.answers import ModelRequest
from ..domain.parameters import NO_PARAMETERS
from ..domain.prompts import Message, Text
from ..providers.dialect import Dialect
from ..providers.endpoint import Endpoint

_SMALLEST = ModelRequest(
    model="m", messages=(Message(role="user", content=(Text("Hi"),)),), parameters=NO_PARAMETERS
)


def find_doubled(dialect: Dialect, endpoint: Endpoint) -> str | None:
    """Return what requests to an endpoint have twice in their path, such as `/v1`, if they do.

    A server may have it so; most that answer 404 have not. The whole path is taken for itself.
    """
    wire = dialect.build(_SMALLEST, stream=False, quirks=endpoint.quirks)
    *before, _ = wire.path.partition("?")[0].split("/")
    base_url = endpoint.base_url.rstrip("/")
    beginnings = ("/".join(before[:end]) for end in range(len(before), 1, -1))
    return next((each for each in beginnings if base_url.endswith(each)), None)
