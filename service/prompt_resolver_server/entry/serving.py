"""What stands behind the doors at the moment."""

from dataclasses import dataclass

from ..resolving.resolver import Resolver
from .access import Access
from .deadlines import Deadlines


@dataclass(slots=True)
class Serving:
    """By what calls are let in, bounded and answered that begin now.

    A reload of the configuration replaces all of it in one step. A call takes each of them once, so
    that it ends as it began.
    """

    resolver: Resolver
    access: Access
    deadlines: Deadlines
