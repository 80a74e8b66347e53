"""What a replica tells the others: that something has changed, and what it is, but not how."""

from typing import Final, Literal

import msgspec

from ....domain.json_codec import JsonReader
from ....domain.values import Value
from ..entries import Key

MAX_BYTES: Final = 16 * 1024
"""How large news may be."""

Change = Literal["changed", "gone", "forgotten"]
"""Another version is shared; or none, as a store no longer gives it to a replica; or an operator
has what is held of a prompt forgotten: of all its versions, where none is named."""


class News(Value, frozen=True, kw_only=True):
    """A change of what is shared under a key, and which replica tells of it."""

    shown = ("sender", "change")

    sender: str
    change: Change
    store: str
    id: str
    version: str | None
    environment: str | None

    @classmethod
    def of(cls, key: Key, change: Change, *, sender: str) -> "News":
        """Return the news of a key, which has no caller's part."""
        return cls(
            sender=sender,
            change=change,
            store=key.store,
            id=key.id,
            version=key.version,
            environment=key.environment,
        )

    @property
    def key(self) -> Key:
        """What the template is held under."""
        return Key(self.store, self.id, self.version, self.environment, b"")


encode_news = msgspec.json.Encoder().encode
decode_news = JsonReader(News).read
"""Returns the news of a document. Raises `JsonError`."""
