"""A provider that is known and not configured says what it needs."""

from collections.abc import Sequence

import pytest

from prompt_resolver_server.domain.answers import Delta, ModelRequest
from prompt_resolver_server.domain.errors import Blame, CallError, Reason
from prompt_resolver_server.domain.parameters import NO_PARAMETERS
from prompt_resolver_server.providers.incomplete import IncompleteProvider


@pytest.mark.parametrize("streamed", [False, True])
async def test_refuses(streamed: bool) -> None:
    """Every call is refused, by what the operator has to set."""
    provider = IncompleteProvider(name="p", needs="providers.p.base_url or P_API_BASE")
    request = ModelRequest(model="m", messages=(), parameters=NO_PARAMETERS)

    async def emit(deltas: Sequence[Delta]) -> None:
        raise AssertionError

    with pytest.raises(CallError) as caught:
        if streamed:
            await provider.stream(request, emit, caller_key=None)
        else:
            await provider.complete(request, caller_key=None)

    assert (caught.value.reason, caught.value.blame) == (Reason.PROVIDER_UNKNOWN, Blame.OPERATOR)
    assert "providers.p.base_url or P_API_BASE" in caught.value.message
