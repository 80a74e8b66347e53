"""The vendor's own client of AWS Bedrock, and what it knows of the API."""

import asyncio
import base64
from collections.abc import Mapping
from contextlib import closing
from typing import Any, cast

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.model import ListShape, MapShape, OperationModel, Shape, StringShape, StructureShape
from botocore.session import Session

from tests.support.upstream import Exchange

KEY_ID = "id-of-fake"
SECRET = "secret-of-fake"
REGION = "us-east-1"

Call = dict[str, Any]


class BedrockClient:
    """botocore's client of Bedrock, at another address and without retries."""

    def __init__(self, url: str) -> None:
        self._client: Any = Session().create_client(
            "bedrock-runtime",
            region_name=REGION,
            endpoint_url=url,
            aws_access_key_id=KEY_ID,
            aws_secret_access_key=SECRET,
            config=Config(retries={"total_max_attempts": 1}, proxies={}),
        )

    async def converse(self, **call: object) -> Call:
        """Call once, and return the answer."""
        return await asyncio.to_thread(lambda: cast("Call", self._client.converse(**call)))

    async def converse_stream(self, **call: object) -> list[Call]:
        """Call once, and return the events of the answer."""

        def read() -> list[Call]:
            with closing(self._client.converse_stream(**call)["stream"]) as events:
                return list(events)

        return await asyncio.to_thread(read)

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def words(self, name: str) -> list[str]:
        """Return the words of an enumeration of the API's."""
        shape = self._client.meta.service_model.shape_for(name)
        return list(cast("StringShape", shape).enum)

    def call_of(self, body: Mapping[str, object]) -> Call:
        """Return the arguments that make the client send a body.

        Fails for whatever the API's own model does not allow: what it does not name, values that
        are too short or too long, and words that are not in an enumeration.
        """
        operation = cast(
            "OperationModel", self._client.meta.service_model.operation_model("Converse")
        )
        assert operation.input_shape is not None
        return cast("Call", _to_arguments(operation.input_shape, dict(body), "body"))


def signer_of(exchange: Exchange, secrets: Mapping[str, str]) -> str | None:
    """Return whose key has signed a request, as it has arrived; None where nobody's has.

    `secrets` are those that a server knows, by the ids of their keys.
    """
    scheme, _, parameters = exchange.headers.get("authorization", "").partition(" ")
    if scheme != "AWS4-HMAC-SHA256":
        return None
    given = dict(each.strip().split("=", 1) for each in parameters.split(","))
    key_id, _, region, service, _ = given["Credential"].split("/")
    names = given["SignedHeaders"].split(";")
    # AWS wants these in it, where they are there.
    assert {"host", "content-type", "x-amz-date"} <= set(names)
    assert "x-amz-security-token" in names or "x-amz-security-token" not in exchange.headers
    if (region, service) != (REGION, "bedrock") or key_id not in secrets:
        return None
    request = AWSRequest(
        method=exchange.method,
        url=f"http://{exchange.headers['host']}{exchange.path}",
        headers={name: exchange.headers[name] for name in names},
        data=exchange.body,
    )
    request.context["timestamp"] = exchange.headers["x-amz-date"]
    auth = SigV4Auth(Credentials(key_id, secrets[key_id]), service, region)
    wanted = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    return key_id if given["Signature"] == wanted else None


def _to_arguments(shape: Shape, value: Any, path: str) -> Any:
    limits = shape.metadata
    if isinstance(value, str | list | dict):
        assert len(value) >= limits.get("min", 0), path
        assert len(value) <= limits.get("max", len(value)), path
    elif isinstance(value, int | float):
        assert limits.get("min", value) <= value <= limits.get("max", value), path
    match shape:
        case StructureShape() if not shape.is_document_type:
            unknown = set(value) - set(shape.members)
            assert not unknown, f"{path}: {unknown}"
            return {
                name: _to_arguments(shape.members[name], each, f"{path}.{name}")
                for name, each in value.items()
            }
        case ListShape():
            return [_to_arguments(shape.member, each, f"{path}[]") for each in value]
        case MapShape():
            return {n: _to_arguments(shape.value, each, f"{path}.{n}") for n, each in value.items()}
        case StringShape():
            assert not shape.enum or value in shape.enum, f"{path}: {value}"
            return value
        case _ if shape.type_name == "blob":
            return base64.b64decode(value, validate=True)
        case _:
            return value
