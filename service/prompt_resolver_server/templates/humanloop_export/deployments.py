"""Which versions of a file are deployed where, as `deployments.json` says."""

import os
from collections.abc import Mapping
from typing import NamedTuple

from ...parameters import Json, kind_of
from ..humanloop.prompt import AnswerError, read_required
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
    if not isinstance(rows, list):
        raise AnswerError((), f"expected a list, got {kind_of(rows)}")
    deployments = [_read_row(row, index) for index, row in enumerate(rows)]
    names = [deployment.environment for deployment in deployments]
    if len(set(names)) < len(names) or sum(each.tag == "default" for each in deployments) > 1:
        # Which of them is served would be a matter of luck.
        raise AnswerError((), "expected one version for each environment, and one default")
    return tuple(sorted(deployments, key=lambda each: each.environment))


def _read_row(row: Json, index: int) -> Deployment:
    if not isinstance(row, dict):
        raise AnswerError((index,), f"expected a mapping, got {kind_of(row)}")
    return Deployment(
        version=_read(row, "version_id", index),
        environment_id=_read(row, "environment_id", index),
        environment=_read(row, "environment_name", index),
        tag=_read(row, "environment_tag", index),
    )


def _read(row: Mapping[str, Json], name: str, index: int) -> str:
    try:
        return read_required(row, name)
    except AnswerError as error:
        raise AnswerError((index,), str(error)) from None
