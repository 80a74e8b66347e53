"""What an export has, in lists: of its prompts, and of the versions and environments of one.

For the pages each prompt is read once, to see whether it can be, and again when it has changed or
is on the page that is asked for. That belongs in one thread alone, as all here waits for the disk.
"""

import logging
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from datetime import UTC, datetime

from ...domain.errors import ResolverError
from ...domain.prompts import PromptRef, Template
from ..listing import Environment, ListQuery, TemplatePage
from .index import ExportedFile, ExportIndex, Record
from .versions import Versions

_log = logging.getLogger(__name__)

_EPOCH = datetime.fromtimestamp(0, UTC)

_SORT_KEYS: dict[str | None, Callable[[Record], object]] = {
    None: lambda record: record.path,
    "name": lambda record: record.name,
    "created_at": lambda record: record.created_at or _EPOCH,
    "updated_at": lambda record: record.updated_at or _EPOCH,
}


class PromptLists:
    """The lists of one store, whose name `store` is."""

    def __init__(self, versions: Versions, *, store: str) -> None:
        self._versions = versions
        self._store = store
        self._readable: dict[str, ExportedFile] = {}
        self._told_broken = 0

    def page(self, index: ExportIndex, query: ListQuery) -> TemplatePage:
        """Return a page of the prompts that are not broken, by path unless asked otherwise."""
        files = self._find_readable(index)
        if query.name is not None:
            part = query.name.casefold()
            files = [each for each in files if part in each[1].name.casefold()]
        sort_key = _SORT_KEYS[query.sort_by]
        files.sort(key=lambda each: sort_key(each[1]), reverse=query.order == "desc")  # type: ignore[arg-type,return-value]
        templates: list[Template] = []
        position = (query.page - 1) * query.size
        # One that has been broken this very moment gives its place to the next.
        while len(templates) < query.size and position < len(files):
            template = self._try_load(index, files[position][0])
            if template is not None:
                templates.append(template)
            position += 1
        return TemplatePage(templates=tuple(templates), total=len(files))

    def versions(self, index: ExportIndex, ref: PromptRef) -> tuple[Template, ...]:
        """Return the versions of a prompt, the oldest first."""
        file = self._versions.find(index, ref)
        return tuple(
            sorted(
                self._read_each(index, file, self._versions.names(file)).values(),
                key=lambda template: template.created_at or _EPOCH,
            )
        )

    def environments(self, index: ExportIndex, ref: PromptRef) -> tuple[Environment, ...]:
        """Return the environments that versions of a prompt are deployed to."""
        file = self._versions.find(index, ref)
        deployments = self._versions.deployments(file, ref)
        templates = self._read_each(index, file, {each.version for each in deployments})
        return tuple(
            Environment(
                id=each.environment_id,
                name=each.environment,
                tag=each.tag,
                template=templates.get(each.version),
            )
            for each in deployments
        )

    def _read_each(
        self, index: ExportIndex, file: ExportedFile, names: Collection[str]
    ) -> Mapping[str, Template]:
        """Read versions of a prompt, but for those that are broken."""
        templates = {}
        for name in names:
            with suppress(ResolverError):
                templates[name] = self._versions.load_version(index, file, name)
        if len(templates) < len(names):
            _log.warning(
                "versions are broken, the others are listed",
                extra={"store": self._store, "broken": len(names) - len(templates)},
            )
        return templates

    def _find_readable(self, index: ExportIndex) -> list[tuple[ExportedFile, Record]]:
        known, self._readable = self._readable, {}
        found, broken = [], index.broken()
        for file, record in index.prompts():
            if known.get(file.id) is file or self._try_load(index, file) is not None:
                self._readable[file.id] = file
                found.append((file, record))
            else:
                broken += 1
        if broken and broken != self._told_broken:
            _log.warning(
                "prompts are broken, the others are listed",
                extra={"store": self._store, "broken": broken, "listed": len(found)},
            )
        self._told_broken = broken
        return found

    def _try_load(self, index: ExportIndex, file: ExportedFile) -> Template | None:
        try:
            return self._versions.load_listed(index, file)
        except ResolverError:
            self._readable.pop(file.id, None)
            return None
