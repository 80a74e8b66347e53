"""Who may see what the page shows: those who may call the data doors, and no page but ours.

Whoever brings a token that lets calls in may see, unless it has rules: the page shows all there is.
Where there are no tokens, whoever is on this
machine may: the admin port may be open to more than that, for probes and scrapes.
"""

from urllib.parse import urlsplit

from aiohttp import web

from ...domain.answers import Credentials
from ...entry.access import not_for_callers
from ...entry.serving import Serving
from ...settings.address import Address
from ..browsers import Headers, comes_from_elsewhere, forbidden


class Visitors:
    """Turns away who may not see. Tokens are `Access`' own business."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    def check(self, request: web.Request, credentials: Credentials) -> None:
        """Raise CALLER_FORBIDDEN for a request that must not be answered to who was let in."""
        if credentials.permissions.are_limited:
            raise not_for_callers("the master key, or a caller without rules")
        if comes_from_elsewhere(request.headers):
            raise forbidden("expected a request of this page itself, not of another site's")
        transport = request.transport
        if self._serving.access.is_open and (
            transport is None
            or not is_from_here(
                request.headers,
                ends=(
                    transport.get_extra_info("peername"),
                    transport.get_extra_info("sockname"),
                ),
            )
        ):
            raise forbidden(
                "without general_settings.master_key or callers, prompts are shown on this machine"
                " alone: expected a connection over loopback, to a name of loopback"
            )


def is_from_here(headers: Headers, *, ends: tuple[tuple[str, int], tuple[str, int]]) -> bool:
    """Tell whether a request comes from this machine, and from nobody else through it.

    Both ends of its connection are on loopback: one alone may be that of a mesh's proxy, which
    brings requests from anywhere. So is the name it was sent to: any other name may be one of a
    site that has it resolve to loopback, to have its visitors' browsers read what is here.
    """
    try:
        name = urlsplit(f"//{headers.get('Host', '')}").hostname
    except ValueError:
        return False
    return all(Address(host=host or "").is_local for host in (name, *(end[0] for end in ends)))
