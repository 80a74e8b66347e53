"""How many files this process may have open: each connection is one, to callers and providers."""

import resource
from contextlib import suppress


def raise_file_limit() -> None:
    """Have it be as many as the system lets a process ask for.

    What a process begins with is often 1024, for the sake of programs that use `select`. Calls that
    are well within the server's own limits would use them up, and probes could not connect.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        # Some systems name a limit that they do not grant.
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
