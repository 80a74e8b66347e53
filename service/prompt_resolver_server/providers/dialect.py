"""What every dialect does: pure functions between our values and one wire format."""

from collections.abc import Mapping
from typing import Protocol

from msgspec import field

from ..domain.answers import Answer, Delta, Finish, ModelRequest
from ..domain.errors import Reason
from ..domain.values import Value


class Quirks(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a provider differs from its dialect."""

    renames: Mapping[str, str] = field(default_factory=dict)
    """Parameters that the wire carries under another name, by ours."""
    lacks: frozenset[str] = frozenset()
    """What the provider does not know: parameters, and by their names on the wire other parts of
    the dialect, which in OpenAI's are `stream_options` and `[DONE]`."""
    lacks_forms: frozenset[str] = frozenset()
    """Forms of an answer that it does not know, `json_object` or `json_schema`, while it knows
    tools: one of these takes such an answer."""
    knows_developer: bool = False
    """Whether there is a role for the developer, who elsewhere speaks as the system."""
    media_of_user_alone: bool = False
    """Whether only a user's messages may have images, sounds and documents in them."""
    reasoning_field: str = ""
    """The name under which the wire takes back what a model thought, where it wants that."""
    one_text: bool = False
    """Whether a message's content is a text, and never a list of parts."""
    model_prefix: str = ""
    """What stands before the name of a model that has no slash."""
    key_headers: tuple[str, ...] = ()
    """Headers that carry the key, too, beside the dialect's own."""
    api_version: str = ""
    """The version of the API, for dialects that name it with each request."""


NO_QUIRKS = Quirks()


class WireRequest(Value, frozen=True, kw_only=True):
    """A request's body, where it goes below the base URL, and the parameters that it leaves out.

    `path` begins with a slash; it may end in a query, which holds no key.
    """

    path: str
    body: bytes
    dropped: tuple[str, ...] = ()


class ProtocolError(Exception):
    """What came is not of the dialect. The text quotes nothing of it."""


class InBandError(Exception):
    """The provider reports a failure in place of an answer: by our reason, or an HTTP status.

    `retry_after_s` is how many seconds it asks to wait.
    """

    def __init__(
        self, reason: Reason | None, status: int | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(reason, status)
        self.reason = reason
        self.status = status
        self.retry_after_s = retry_after_s


class StreamReader(Protocol):
    """Reads one streamed answer, in whatever portions its bytes arrive."""

    def feed(self, chunk: bytes) -> list[Delta]:
        """Return the deltas that the bytes complete. An empty chunk is the end of the stream.

        After the answer's end, and after a failure, bytes are ignored.
        """
        ...

    @property
    def last_words(self) -> bytes:
        """What the last event of an answer has in it, as far as can be told before."""
        ...

    @property
    def failure(self) -> "ProtocolError | InBandError | None":
        """What went wrong, if something did: after the deltas that came before it."""
        ...

    @property
    def finish(self) -> Finish | None:
        """How the answer ended, once the dialect's own terminal marker has arrived.

        Where an answer's usage follows the marker, it may wait for that, or for the stream's end.
        """
        ...

    @property
    def is_complete(self) -> bool:
        """Whether the answer is complete although more may follow, such as its usage.

        If that does not come, an empty chunk has the reader tell how the answer ended.
        """
        ...

    @property
    def chunks(self) -> int:
        """How many events have arrived."""
        ...

    @property
    def characters(self) -> int:
        """How much text has arrived."""
        ...


class Dialect(Protocol):
    """One wire format."""

    @property
    def stream_type(self) -> str:
        """The media type of a streamed answer, in lower case and without parameters."""
        ...

    @property
    def lacks_forms(self) -> frozenset[str]:
        """The forms of an answer that it has no words for; see `Quirks.lacks_forms`."""
        ...

    def headers(self, key: str | None) -> Mapping[str, str]:
        """Return the headers that go with every request, and the one that carries a key."""
        ...

    def build(self, request: ModelRequest, *, stream: bool, quirks: Quirks) -> WireRequest:
        """Return what to send. Raises `CallError` for what the wire cannot carry."""
        ...

    def parse(self, body: bytes) -> Answer:
        """Return the whole answer. Raises `ProtocolError` and `InBandError`."""
        ...

    def read_stream(self, quirks: Quirks) -> StreamReader:
        """Return a reader for one streamed answer."""
        ...

    def classify(self, status: int, body: bytes) -> Reason | None:
        """Return the reason that an error's body gives, or None to go by the HTTP status alone."""
        ...
