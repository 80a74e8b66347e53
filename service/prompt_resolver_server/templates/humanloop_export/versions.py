"""The versions of an export's prompts, read into templates when they are asked for.

    <export>/files/<prompt id>/versions/<version id>    a PromptResponse, as the API answered it
    <export>/files/<prompt id>/deployments.json         which of them is deployed where

The names of versions are looked for among those that there are, and never made a path of unseen.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from msgspec.structs import replace

from ...domain.errors import Reason, StoreError, TemplateError
from ...domain.json_codec import encode_json
from ...domain.parameters import Json
from ...domain.prompts import PromptRef, Template
from ..files import Look, Root
from ..formats.answers import AnswerError, read_required
from ..formats.fields import FieldError
from ..humanloop.prompt import read_template
from ..store import prompt_not_found, unreadable, version_not_found
from .deployments import DEPLOYMENTS, Deployment, read_deployments
from .index import RECORD, ExportedFile, ExportIndex
from .reading import Reading
from .snippets import find_references, read_snippets

VERSIONS = "versions"

# So many names are told in an error.
_MAX_TOLD = 20


class Loaded(NamedTuple):
    """A template, and what all that it was read from looked like."""

    template: Template
    looks: tuple[Look, ...]


class Versions:
    """The versions of the prompts below a root. `store` is the store's name, for errors.

    Everything waits for the disk, and raises what `TemplateStore.fetch` raises.
    """

    def __init__(self, root: Root, *, store: str) -> None:
        self._root = root
        self._store = store

    def load(self, index: ExportIndex, ref: PromptRef) -> Loaded:
        """Return the version that a reference selects."""
        file = self.find(index, ref)
        reading = Reading(self._root)
        versions = self.names(file)
        if ref.version is not None:
            if ref.version not in versions:
                raise self._no_version(ref, versions, ())
            return self._load(index, file, ref, ref.version, reading)
        deployments = self.deployments(file, ref, reading)
        deployment = _select(deployments, ref.environment)
        if deployment is None:
            raise self._no_version(ref, versions, deployments)
        loaded = self._load(index, file, ref, deployment.version, reading)
        return loaded._replace(
            template=replace(loaded.template, environment=deployment.environment)
        )

    def load_listed(self, index: ExportIndex, file: ExportedFile) -> Template:
        """Return the version of a prompt that lists have.

        It is the default one, or where there is none, the one that the export's own list has.
        """
        ref = PromptRef(id=file.id)
        default = _select(self.deployments(file, ref), None)
        listed = file.record.version if file.record else ""
        return self.load_version(index, file, default.version if default else listed)

    def load_version(self, index: ExportIndex, file: ExportedFile, version: str) -> Template:
        """Return a version as it stands in lists."""
        ref, reading = PromptRef(id=file.id), Reading(self._root)
        return self._load(index, file, ref, version, reading).template

    def find(self, index: ExportIndex, ref: PromptRef) -> ExportedFile:
        """Return the prompt that a reference means."""
        files = index.find(ref.id)
        if not files:
            if index.may_hide(ref.id):
                raise unreadable(f"cannot read all files, {ref.id!r} may be one", store=self._store)
            raise prompt_not_found(ref, store=self._store)
        file = files[0]
        if len(files) > 1 and file.is_prompt:
            raise self._invalid(ref, f"expected one file at this path, got {_tell_ids(files)}")
        self._check_done(file, ref)
        if not file.is_readable:
            raise self._unreadable(ref.id, file.problem)
        if file.record is None:
            raise self._invalid(ref, file.problem)
        if not file.is_prompt:
            raise prompt_not_found(ref, store=self._store, hint=": it is not a prompt")
        return file

    def names(self, file: ExportedFile) -> Sequence[str]:
        """Return the names of a prompt's versions."""
        try:
            return Reading(self._root).names(os.path.join(file.folder, VERSIONS))
        except OSError as error:
            raise self._unreadable(file.id, str(error.strerror)) from None

    def deployments(
        self, file: ExportedFile, ref: PromptRef, reading: Reading | None = None
    ) -> tuple[Deployment, ...]:
        """Return which version of a prompt is deployed where; `reading` is to remember it."""
        reading = reading or Reading(self._root)
        with self._telling(ref, DEPLOYMENTS):
            return read_deployments(reading, file.folder)

    def _load(
        self, index: ExportIndex, file: ExportedFile, ref: PromptRef, version: str, reading: Reading
    ) -> Loaded:
        known_bytes = reading.size
        with self._telling(ref, f"version {version!r}"):
            if version not in self.names(file):
                raise AnswerError((), "expected a version that is there")
            document = reading.document(os.path.join(file.folder, VERSIONS, version))
            _check_name(document, "id", file.id)
            _check_name(document, "version_id", version)
            template = read_template(document, ref, size=reading.size - known_bytes)
        looks = list(file.looks)
        snippets: dict[str, Mapping[str, str]] = {}
        for name in sorted(find_references(template)):
            if tools := index.snippet_tools(name):
                snippets[name] = self._read_snippets(tools, reading, ref)
                looks += tools[0].looks
            elif index.may_hide(name):
                raise self._unreadable(ref.id, f"tool {name!r} may be one that cannot be read")
        if snippets:
            # They change while the version does not.
            digest = hashlib.sha256(template.content_sha256.encode())
            digest.update(encode_json({name: dict(texts) for name, texts in snippets.items()}))
            template = replace(
                template,
                snippets=snippets,
                content_sha256=digest.hexdigest(),
                size=reading.size - known_bytes,
            )
        return Loaded(template, (*looks, *reading.looks))

    def _read_snippets(
        self, tools: Sequence[ExportedFile], reading: Reading, ref: PromptRef
    ) -> Mapping[str, str]:
        """Return the texts of a tool, in the version that is deployed by default."""
        tool = tools[0]
        if len(tools) > 1:
            raise self._invalid(ref, f"expected one tool of this name, got {_tell_ids(tools)}")
        self._check_done(tool, ref)
        with self._telling(ref, f"tool {tool.id}"):
            default = _select(read_deployments(reading, tool.folder), None)
            name = RECORD
            if default is not None and default.version in self.names(tool):
                name = os.path.join(VERSIONS, default.version)
            return read_snippets(reading.document(os.path.join(tool.folder, name)))

    def _check_done(self, file: ExportedFile, ref: PromptRef) -> None:
        if file.is_done:
            return
        whose = "it" if file.is_prompt or file.record is None else f"tool {file.id}"
        raise unreadable(
            f"has not all of {ref.id!r}: the export of {whose} was interrupted,"
            " its .done is missing",
            store=self._store,
        )

    @contextmanager
    def _telling(self, ref: PromptRef, place: str) -> Iterator[None]:
        """Tell of what cannot be read in a document as a fault of the prompt."""
        try:
            yield
        except FieldError as error:
            field = ".".join(map(str, error.path))
            raise self._invalid(
                ref, f"{place}, {field}: {error.problem}", forbidden=error.forbidden
            ) from None
        except AnswerError as error:
            raise self._invalid(ref, f"{place}, {error}") from None
        except FileNotFoundError:
            raise self._invalid(ref, f"{place}, expected a file") from None
        except OSError as error:
            raise self._unreadable(ref.id, str(error.strerror)) from None

    def _invalid(self, ref: PromptRef, problem: str, *, forbidden: bool = False) -> TemplateError:
        return TemplateError(
            Reason.TEMPLATE_FORBIDDEN if forbidden else Reason.TEMPLATE_INVALID,
            f"prompt {ref.id!r} of store {self._store!r}: {problem}",
            metadata={"store": self._store, "id": ref.id},
        )

    def _unreadable(self, prompt_id: str, problem: str) -> StoreError:
        return unreadable(f"cannot read the files of {prompt_id!r}: {problem}", store=self._store)

    def _no_version(
        self, ref: PromptRef, versions: Iterable[str], deployments: Iterable[Deployment]
    ) -> StoreError:
        environments = [f"{each.environment!r} ({each.version!r})" for each in deployments]
        known = f"versions: {_tell(map(repr, versions))}"
        if ref.version is None:
            known += f"; environments: {_tell(environments)}"
        return version_not_found(ref, store=self._store, known=known)


def _select(deployments: Iterable[Deployment], environment: str | None) -> Deployment | None:
    """Return what is deployed to an environment, or by default."""
    for deployment in deployments:
        if environment is None and deployment.tag == "default":
            return deployment
        if environment is not None and deployment.environment == environment:
            return deployment
    return None


def _check_name(document: Mapping[str, Json], field: str, name: str) -> None:
    if read_required(document, field) != name:
        raise AnswerError((field,), f"expected {name!r}, as its name is")


def _tell_ids(files: Iterable[ExportedFile]) -> str:
    return _tell([file.id for file in files])


def _tell(names: Iterable[str]) -> str:
    """Return names as text: a few of them, where they are many."""
    every = list(names)
    told = ", ".join(every[:_MAX_TOLD]) or "none"
    return f"{told} and {len(every) - _MAX_TOLD} more" if len(every) > _MAX_TOLD else told
