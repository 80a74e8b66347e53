"""`Resolve` over a real gRPC socket."""

from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from tests.support.service import RunningService
from tests.support.upstream import Upstream


async def test_renders_the_template(service: RunningService, upstream: Upstream) -> None:
    """A prompt comes back as finished messages with its model, and no model is called."""
    response = await service.client.resolve(
        "greet", variables={"language": "French", "name": "Ada"}
    )

    assert [(message.role, message.content[0].text) for message in response.messages] == [
        (pb.ROLE_SYSTEM, "Greet in French."),
        (pb.ROLE_USER, "Ada"),
    ]
    assert (response.provider, response.model) == ("fake", "some-model")
    assert upstream.exchanges == []
