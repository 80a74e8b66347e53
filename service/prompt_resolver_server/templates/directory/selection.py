"""Which of a prompt's files a call is about: by its version, its environment, or neither."""

import re
from typing import NamedTuple

from ...domain.errors import CallError, Reason, StoreError, TemplateError
from ...domain.prompts import PromptRef
from ..files import LocalFile
from ..formats.prompt_file import MAX_BYTES, PromptFileError
from ..store import prompt_not_found, version_not_found
from .layout import (
    ENDING,
    IDS,
    deployments_of,
    files_at,
    find_place,
    version_at,
    version_in,
    versions_of,
)
from .reading import Reading
from .records import MAX_RECORDS_BYTES, Deployments, Ids, read_deployments

_MAX_NAMED = 20
_NO_DEPLOYMENTS = Deployments(None, {})
_DIGITS = re.compile(r"([0-9]+)")


class Choice(NamedTuple):
    """A file that is to be served: of which prompt, by its place, and under which names.

    `version` is None where the content alone tells it.
    """

    place: str
    name: str
    file: LocalFile
    version: str | None
    environment: str = ""


class Selection:
    """Chooses among the files of one prompt. `ref` is what was asked for, for errors."""

    def __init__(self, reading: Reading, ref: PromptRef, place: str, *, store: str) -> None:
        self._reading = reading
        self._ref = ref
        self._store = store
        self._place = place
        # Not by `cached_property`, which until Python 3.12 has all threads wait for one that hangs.
        self._plain: tuple[Choice | None] | None = None
        self._deployments: Deployments | None = None

    def choose(self) -> Choice:
        """Return what the reference names.

        The caller has to compare the version of what has one by its content alone. Raises
        VERSION_NOT_FOUND and TEMPLATE_INVALID.
        """
        ref = self._ref
        if ref.version is not None:
            chosen = self.version(ref.version) or self.plain
        elif ref.environment is not None:
            chosen = self._deployed(ref.environment)
        else:
            chosen = self._default()
        if chosen is None:
            raise self.no_such_version()
        return chosen

    def exists(self) -> bool:
        """Return whether any file is the prompt's."""
        return self.plain is not None or bool(self.versions() or self.deployments.environments)

    @property
    def plain(self) -> Choice | None:
        """The prompt's file outside of the versions, if there is one."""
        if self._plain is None:
            self._plain = (self._find(self._place, None),)
        return self._plain[0]

    @property
    def deployments(self) -> Deployments:
        """What is deployed of the prompt."""
        if self._deployments is None:
            self._deployments = self._read_deployments()
        return self._deployments

    def version(self, version: str) -> Choice | None:
        """Return the file of a version, if there is one."""
        place = version_at(self._place, version)
        return self._find(place, version) if place is not None else None

    def versions(self) -> tuple[str, ...]:
        """Return the names of the prompt's versions, `v9` before `v10`."""
        files = self._reading.names(versions_of(self._place))
        versions = {version for file in files if (version := version_in(file)) is not None}
        return tuple(sorted(versions, key=_natural))

    def no_such_version(self, plain_version: str | None = None) -> StoreError:
        """Return the error for a selector that nothing answers to, which tells what there is.

        `plain_version` is that of the file outside of the versions, where it has been read.
        """
        known = [_tell("environments", tuple(self.deployments.environments))]
        if plain_version is not None:
            known.insert(0, _tell("versions", (plain_version, *self.versions())))
        elif self.plain is None:
            known.insert(0, _tell("versions", self.versions()))
        return version_not_found(self._ref, store=self._store, known=", ".join(known))

    def invalid(self, name: str, error: PromptFileError) -> TemplateError:
        """Return the error for a file that is not what it should be."""
        return TemplateError(
            Reason.TEMPLATE_FORBIDDEN if error.forbidden else Reason.TEMPLATE_INVALID,
            f"{name}, line {error.line}: {error.problem}",
            metadata={"store": self._store, "id": self._ref.id, "line": str(error.line)},
        )

    def _read_deployments(self) -> Deployments:
        name = deployments_of(self._place)
        file = self._reading.read(name, max_bytes=MAX_RECORDS_BYTES)
        if file is None:
            return _NO_DEPLOYMENTS
        try:
            return read_deployments(file.content)
        except PromptFileError as error:
            raise self.invalid(name, error) from None

    def _default(self) -> Choice | None:
        environment = self.deployments.default
        if environment is None:
            return self.plain
        if self.plain is not None:
            problem = f"default: {self.plain.name} is there, too, and only one can be served"
            raise self.invalid(deployments_of(self._place), PromptFileError(1, problem))
        return self._deployed(environment)

    def _deployed(self, environment: str) -> Choice | None:
        version = self.deployments.environments.get(environment)
        if version is None:
            return None
        chosen = self.version(version)
        if chosen is None:
            expected = f"expected a version that is there, got {version!r}"
            problem = f"environments.{environment}: {expected}"
            raise self.invalid(deployments_of(self._place), PromptFileError(1, problem))
        return chosen._replace(environment=environment)

    def _find(self, place: str, version: str | None) -> Choice | None:
        found = [
            Choice(self._place, name, file, version)
            for name in files_at(place)
            if (file := self._reading.read(name, max_bytes=MAX_BYTES)) is not None
        ]
        if len(found) > 1:
            problem = f"{found[1].name} is there, too, and only one can be served"
            raise self.invalid(found[0].name, PromptFileError(1, problem))
        return found[0] if found else None


def find_prompt(reading: Reading, ref: PromptRef, ids: Ids, *, store: str) -> Selection:
    """Return the prompt that a reference is about, by its own id or by a further one.

    Raises PROMPT_ID_INVALID, PROMPT_NOT_FOUND and TEMPLATE_INVALID.
    """
    place = find_place(ref.id, store=store)
    if place is not None:
        own = Selection(reading, ref, place, store=store)
        if own.exists():
            return own
        place = _find_other(own, reading, ref, ids)
    if place is not None:
        other = Selection(reading, ref, place, store=store)
        if other.exists():
            return other
    hint = f": ids go without {ENDING!r}" if ref.id.endswith(ENDING) else ""
    raise prompt_not_found(ref, store=store, hint=hint)


def _find_other(own: Selection, reading: Reading, ref: PromptRef, ids: Ids) -> str | None:
    """Return the place of the prompt that the reference's id is a further one of."""
    try:
        other = ids.find(reading, ref.id)
        return find_place(other, store="") if other is not None else None
    except PromptFileError as error:
        raise own.invalid(IDS, error) from None
    except CallError:
        problem = PromptFileError(1, f"{ref.id}: expected the path of a prompt")
        raise own.invalid(IDS, problem) from None


def _natural(version: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (0, part) for part in _DIGITS.split(version)]


def _tell(kind: str, names: tuple[str, ...]) -> str:
    if not names:
        return f"it has no {kind}"
    more = len(names) - _MAX_NAMED
    others = f" and {more} more" if more > 0 else ""
    return f"its {kind} are {', '.join(map(repr, names[:_MAX_NAMED]))}{others}"
