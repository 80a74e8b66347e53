"""Which versions of a file are deployed where, as `deployments.json` says."""

import os
from typing import NamedTuple

from ...domain.parameters import Json
from ..formats.answers import AnswerError, as_list, as_mapping, read_required
from .reading import Reading

DEPLOYMENTS = "deployments.json"


class Deployment(NamedTuple):
    """A version that is deployed to an environment."""

    version: str
    environment_id: str
    environment: str
    tag: str


def read_deployments(reading: Reading, folder: str) -> tuple[Deployment, ...]:
    """Return what is deployed, in the order of the environments' names. Raises as `Reading` does.

    A file without versions has no such document.
    """
    try:
        rows = reading.value(os.path.join(folder, DEPLOYMENTS))
    except FileNotFoundError:
        return ()
    deployments = [_read_row(row, index) for index, row in enumerate(as_list(rows, ()))]
    names = [deployment.environment for deployment in deployments]
    if len(set(names)) < len(names) or sum(each.tag == "default" for each in deployments) > 1:
        # Which of them is served would be a matter of luck.
        raise AnswerError((), "expected one version for each environment, and one default")
    return tuple(sorted(deployments, key=lambda each: each.environment))


def _read_row(value: Json, index: int) -> Deployment:
    row = as_mapping(value, (index,))
    return Deployment(
        version=read_required(row, "version_id", (index,)),
        environment_id=read_required(row, "environment_id", (index,)),
        environment=read_required(row, "environment_name", (index,)),
        tag=read_required(row, "environment_tag", (index,)),
    )
