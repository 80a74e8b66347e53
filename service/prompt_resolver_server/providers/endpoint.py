"""Where a provider is, and how to get in."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from .dialect import NO_QUIRKS, Quirks
from .signer import Signer
from .transport.transport import Timeouts


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An address, and what is needed there.

    `vendor_url` is where its vendor is, which may be reached by way of another address.

    `find_key` returns the key as it is now, or None where there is none; it is asked for each
    call, so that a key can be replaced while the service runs. `key_hint` tells where it is
    configured, or would be; it is empty where none is asked for. `signer` lets requests in that
    carry no key. `account` is equal where the key and the credentials are. `drop_unsupported` has
    what the provider lacks left out, and told, whoever set it.
    """

    base_url: str
    vendor_url: str = ""
    timeouts: Timeouts
    find_key: Callable[[], str | None] = field(repr=False)
    key_required: bool
    key_hint: str = ""
    stream_completions: bool = True
    drop_unsupported: bool = False
    signer: Signer | None = None
    account: Hashable = field(default=(), repr=False)
    quirks: Quirks = NO_QUIRKS
