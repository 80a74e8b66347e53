"""Where Vertex AI is, and with what it is asked, by an account's settings and variables."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from prompt_resolver_server.assembly.configuration import load_configuration
from prompt_resolver_server.assembly.endpoints import Endpoints, IncompleteError
from prompt_resolver_server.settings.litellm import AliasParams

PATH = "/v1beta1/projects/some-project/locations"


def endpoints(tmp_path: Path, settings: str, variables: Mapping[str, str]) -> Endpoints:
    path = tmp_path / "config.yaml"
    path.write_text(f"providers: {{vertex_ai: {{{settings}}}}}")
    return Endpoints(load_configuration(path, variables))


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("europe-west1", "europe-west1-aiplatform.googleapis.com"),
        ("global", "aiplatform.googleapis.com"),
        ("us", "aiplatform.us.rep.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
    ],
)
def test_hosts(tmp_path: Path, location: str, host: str) -> None:
    """A region has a host of its own, and so have the locations that are none."""
    settings = f"vertex_project: some-project, vertex_location: {location}"

    endpoint = endpoints(tmp_path, settings, {}).of_provider("vertex_ai")

    assert endpoint.base_url == f"https://{host}{PATH}/{location}"
    assert (endpoint.key_required, endpoint.signer is not None) == (False, True)


@pytest.mark.parametrize(
    "names",
    [
        ("VERTEXAI_PROJECT", "VERTEXAI_LOCATION"),
        ("VERTEX_PROJECT", "VERTEX_LOCATION"),
        ("GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_LOCATION"),
    ],
)
def test_variables(tmp_path: Path, names: tuple[str, str]) -> None:
    """What the settings leave out is in the customary variables."""
    variables = dict(zip(names, ("some-project", "global"), strict=True))

    endpoint = endpoints(tmp_path, "", variables).of_provider("vertex_ai")

    assert endpoint.base_url == f"https://aiplatform.googleapis.com{PATH}/global"


def test_needs(tmp_path: Path) -> None:
    """What is missing is told by its setting and its variables."""
    with pytest.raises(IncompleteError) as caught:
        endpoints(tmp_path, "vertex_project: p", {}).of_provider("vertex_ai")

    assert caught.value.needs == (
        "providers.vertex_ai.vertex_location or VERTEXAI_LOCATION or VERTEX_LOCATION"
        " or GOOGLE_CLOUD_LOCATION"
    )


def test_provider_of_ones_own(tmp_path: Path) -> None:
    """Whoever speaks the dialect under another name is let in by credentials of its own alone."""
    path = tmp_path / "config.yaml"
    path.write_text(
        """
providers:
  own: {dialect: vertex, base_url: 'http://127.0.0.1:1', vertex_credentials: '{}'}
  other: {dialect: vertex, base_url: 'http://127.0.0.1:1', aws_access_key_id: a}
"""
    )
    known = Endpoints(load_configuration(path, {"VERTEXAI_CREDENTIALS": "{}"}))

    assert known.of_provider("own").signer is not None
    assert known.of_provider("other").signer is None


def test_address_of_a_row(tmp_path: Path) -> None:
    """Credentials of the environment sign for the provider's own address, and for no row's."""
    variables = {"VERTEXAI_CREDENTIALS": "{}"}
    known = endpoints(tmp_path, "vertex_project: p, vertex_location: l", variables)
    row = {"model": "vertex_ai/m", "api_base": "http://127.0.0.1:1"}

    alone = known.of_row("vertex_ai", 0, AliasParams.model_validate(row))
    own = known.of_row(
        "vertex_ai", 0, AliasParams.model_validate({**row, "vertex_credentials": "{}"})
    )
    at_home = known.of_row(
        "vertex_ai",
        0,
        AliasParams.model_validate({"model": "vertex_ai/m", "vertex_location": "global"}),
    )

    assert alone is not None
    assert own is not None
    assert at_home is not None
    assert (alone.signer, own.signer is not None) == (None, True)
    assert at_home.base_url.endswith("/projects/p/locations/global")
    assert at_home.signer is not None
