"""Which prompts a directory has, for its lists.

A file is read once, to see whether it is a prompt, and again when it has changed or is on the page
that is asked for. Everything here waits for the disk, so it belongs in a thread, and in one alone.
"""

import logging
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ...domain.errors import Reason, ResolverError
from ...domain.prompts import Template
from ..files import Root
from ..listing import ListQuery, TemplatePage
from .contents import Content
from .faults import Faults
from .layout import find_name, is_folder_of_prompts
from .reading import NO_LOOKS, Looks, Outcome, Reading

MAX_PROMPTS = 10_000
"""How many prompts are listed; more are served, but in no list."""

_log = logging.getLogger(__name__)

_ATTEMPTS = 5
_BROKEN = (Reason.TEMPLATE_INVALID, Reason.TEMPLATE_FORBIDDEN)


class _Verdict(NamedTuple):
    """What was found of a prompt: whether it can be listed, and when it came about.

    `reason` is why it cannot. `looks` are those of all that this depends on.
    """

    prompt_id: str
    looks: Looks
    reason: Reason | None
    created_at: float


class DirectoryIndex:
    """The prompts of one store. `load` reads one by its id, as it is served without a selector."""

    def __init__(self, *, name: str, root: Root, load: Callable[[str], Outcome[Content]]) -> None:
        self._name = name
        self._root = root
        self._load = load
        self._verdicts: dict[str, _Verdict] = {}
        self._faults = Faults(name)

    def page(self, query: ListQuery) -> TemplatePage:
        """Return a page of the prompts that are not broken."""
        for _ in range(_ATTEMPTS):
            folders = Reading(self._root, store=self._name)
            page = self._page(folders, query)
            if folders.looks.hold():
                break
        # Where the folders change all the while, it is of what was seen.
        return page

    def _page(self, folders: Reading, query: ListQuery) -> TemplatePage:
        prompts = self._readable(folders)
        if query.name is not None:
            part = query.name.casefold()
            prompts = [prompt for prompt in prompts if part in _name(prompt).casefold()]
        match query.sort_by:
            case "name":
                prompts.sort(key=_name)
            case "created_at" | "updated_at":
                prompts.sort(key=lambda prompt: prompt.created_at)
        if query.order == "desc":
            prompts.reverse()
        templates: list[Template] = []
        position = (query.page - 1) * query.size
        # One that has been broken or removed this very moment gives its place to the next.
        while len(templates) < query.size and position < len(prompts):
            result = self._load_or_tell(prompts[position].prompt_id).result
            if not isinstance(result, ResolverError):
                templates.append(result.template)
            position += 1
        return TemplatePage(templates=tuple(templates), total=len(prompts))

    def _readable(self, folders: Reading) -> list[_Verdict]:
        """Return the prompts that can be served, ordered by id."""
        known, self._verdicts = self._verdicts, {}
        news = False
        for prompt_id in _find(self._root.find(), folders):
            if len(self._verdicts) == MAX_PROMPTS:
                _log.warning(
                    "a directory has more prompts than are listed",
                    extra={"store": self._name, "listed": MAX_PROMPTS},
                )
                break
            verdict = known.get(prompt_id)
            if verdict is None or not verdict.looks.prove():
                verdict = self._judge(prompt_id)
                news = news or verdict.reason in _BROKEN
            self._verdicts[prompt_id] = verdict
        readable = [verdict for verdict in self._verdicts.values() if verdict.reason is None]
        if news:
            # Told once, and again when the files have changed.
            broken = sum(verdict.reason in _BROKEN for verdict in self._verdicts.values())
            _log.warning(
                "prompts are broken, the others are listed",
                extra={"store": self._name, "broken": broken, "listed": len(readable)},
            )
        return sorted(readable, key=lambda verdict: verdict.prompt_id)

    def _judge(self, prompt_id: str) -> _Verdict:
        result, looks = self._load_or_tell(prompt_id)
        if isinstance(result, ResolverError):
            return _Verdict(prompt_id, looks, result.reason, 0.0)
        created_at = result.template.created_at
        return _Verdict(prompt_id, looks, None, created_at.timestamp() if created_at else 0.0)

    def _load_or_tell(self, prompt_id: str) -> Outcome[Content]:
        try:
            return self._load(prompt_id)
        except ResolverError:
            raise
        except Exception as fault:  # noqa: BLE001 - one file must not keep all others from a list
            return Outcome(self._faults.tell(fault), NO_LOOKS)


def _name(verdict: _Verdict) -> str:
    return verdict.prompt_id.rpartition("/")[2]


def _find(root: str, looked_into: Reading) -> Iterator[str]:
    """Find the ids of the prompts below a directory, by the names of its files."""
    # Each folder is looked into once, whatever links lead to it.
    seen = {root}
    for folder, folders, files in os.walk(root, followlinks=True):
        within = os.path.relpath(folder, root)
        looked_into.note(within)
        prefix = "" if within == os.curdir else f"{within}/"
        folders[:] = [
            name
            for name in sorted(folders)
            if is_folder_of_prompts(name) and _is_new(os.path.join(folder, name), root, seen)
        ]
        names = {name for file in files if (name := find_name(file)) is not None}
        yield from (prefix + name for name in sorted(names) if _is_unicode(prefix + name))


def _is_new(folder: str, root: str, seen: set[str]) -> bool:
    target = os.path.realpath(folder)
    if target in seen or os.path.commonpath((root, target)) != root:
        return False
    seen.add(target)
    return True


def _is_unicode(path: str) -> bool:
    """Tell whether a path is text, which a name on a disk need not be."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
