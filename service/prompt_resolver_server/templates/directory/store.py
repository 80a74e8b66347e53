"""The `directory` store: a tree of prompt files, and of documents.

A prompt's id is its path below the root, without the ending: `support/greeting` is
`<root>/support/greeting.prompt`, in Humanloop's format or in Google's dotprompt, which the file's
signs tell apart or the setting `format`; or `support/greeting.prompt.json`, a template as this
service writes it. Such a prompt has one version, named by the beginning of its content's hash or as
the document says. One of several versions has further files:

    support/greeting.versions/v7.prompt         the version `v7`; or `v7.prompt.json`
    support/greeting.deployments.yaml           {default: production,
                                                 environments: {production: v7, staging: v8}}

What is served without a selector is the version in the environment `default`, or the file
`support/greeting.prompt`; both at once are an error, and where neither is there, only versions and
environments can be asked for. `ids.yaml` in the root has further ids, each with the path of its
prompt: `pr_123: Shop/Returns desk`. A file's own path comes first. `{{> footer}}` of a dotprompt is
`_footer.prompt` in the prompt's folder, else in the root.

A file is read again once it has changed, or any file that it depends on, so an edit is served by
the next call, or a tenth of a second later where the system tells nothing of it; and a call sees
files of one moment alone, also while a volume of Kubernetes is replaced. Files of a network's
volume are only looked at in threads, as it may hang. Nothing outside of the root is ever opened,
whatever links lead there; links that stay inside, as Kubernetes makes them for a ConfigMap, are
followed. Names that begin with a dot are not part of the tree. Prompts, versions and environments
can be listed.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

from msgspec.structs import replace

from ...domain.errors import ResolverError, TemplateError
from ...domain.prompts import PromptRef, Template
from ...settings.fields import Seconds, Ttl
from ...settings.model import StoreSettings
from ..file_systems import is_at_hand
from ..files import Root
from ..formats.format_rule import BY_SIGNS, FormatRule, PromptFormat
from ..kind import Site, StoreKind
from ..listing import Environment, ListQuery, TemplatePage
from ..readers import LIST_S, Readers
from ..store import is_same
from .changes import Changes, Witness
from .contents import Content, Contents
from .faults import Faults
from .index import DirectoryIndex
from .reading import Looks, Outcome, Reading, read_at_once
from .records import Ids
from .selection import Selection, find_prompt

MAX_VERSIONS = 1_000
"""How many versions of a prompt are listed; more are served, but in no list."""

_log = logging.getLogger(__name__)

_THREADS = 4

_Result = TypeVar("_Result")


class _Origin(NamedTuple):
    """What a template was made of: the hash of it, and who tells whether it looks the same.

    There is no such witness where some of it is not at hand: only a thread may look at that.
    """

    digest: str
    looks: Looks
    witness: Witness | None


class DirectorySettings(StoreSettings):
    """A store that is a tree of prompt files."""

    type: Literal["directory"]
    path: Path
    """The root of the tree. A relative path starts at the configuration file's folder."""
    format: PromptFormat | None = None
    """The format of all its `.prompt` files; unset: the one that each file's signs tell, and one
    whose signs tell none, or more than one, is refused."""
    default_format: PromptFormat | None = None
    """The format of files that show no sign of any; unset: they are refused."""
    ttl_s: Ttl = 0
    """How long a file is served without asking whether it has changed; 0: each call asks."""
    timeout_s: Seconds = 5.0
    """How long a prompt may take to be read. After that its volume is taken to hang."""


class DirectoryStore:
    """A `TemplateStore` over a directory. `name` is the store's own, for errors.

    `at_hand` tells of a path whether looking at it takes no time.
    """

    def __init__(
        self,
        *,
        name: str,
        root: Path,
        rule: FormatRule = BY_SIGNS,
        timeout_s: float = 5.0,
        at_hand: Callable[[str], bool] = is_at_hand,
    ) -> None:
        self._name = name
        self._root = Root(root, store=name)
        self._at_hand = at_hand
        self._contents = Contents(rule)
        self._ids = Ids()
        self._origins: WeakKeyDictionary[Template, _Origin] = WeakKeyDictionary()
        self._changes = Changes()
        self._faults = Faults(name)
        self._index = DirectoryIndex(name=name, root=self._root, load=self._load_for_list)
        self._readers = Readers(store=name, threads=_THREADS, timeout_s=timeout_s)
        # One for all lists, so that they never keep the threads that prompts are fetched in.
        self._lister = Readers(store=name, threads=1, timeout_s=LIST_S, task="list")

    async def fetch(
        self, ref: PromptRef, held: Template | None, *, caller_key: str | None = None
    ) -> Template:
        """Return the template of a file; see `TemplateStore.fetch`."""
        origin = self._origins.get(held) if held is not None else None
        if held is not None and await self._holds_elsewhere(origin):
            return held
        outcome, at_hand = await self._readers.do(lambda: self._load_here(ref))
        template, digest = outcome.get()
        is_as_read = origin is not None and origin.digest == digest
        if held is not None and is_as_read and is_same(template, held):
            template = held
        witness = Witness(outcome.looks, self._changes) if at_hand else None
        self._origins[template] = _Origin(digest, outcome.looks, witness)
        return template

    def confirms(self, held: Template) -> bool:
        """Return whether all files of the template look as they did when they were read.

        Of files that are not at hand that is not told: they are looked at when it is fetched.
        """
        origin = self._origins.get(held)
        # What it may have to look at takes microseconds: less than handing it to a thread would.
        return origin is not None and origin.witness is not None and origin.witness.confirms()

    async def list_prompts(
        self, query: ListQuery, *, caller_key: str | None = None
    ) -> TemplatePage:
        """Return a page of the prompts, by their ids unless asked otherwise."""
        return await self._lister.do(lambda: self._index.page(query))

    async def list_versions(
        self, prompt_id: str, *, caller_key: str | None = None
    ) -> tuple[Template, ...]:
        """Return all versions, each with an environment that it is deployed to."""
        ref = PromptRef(id=prompt_id)
        return await self._lister.do(
            lambda: self._read(lambda reading: self._versions(reading, ref))
        )

    async def list_environments(
        self, prompt_id: str, *, caller_key: str | None = None
    ) -> tuple[Environment, ...]:
        """Return the environments that something is deployed to."""
        ref = PromptRef(id=prompt_id)
        return await self._lister.do(
            lambda: self._read(lambda reading: self._environments(reading, ref))
        )

    async def aclose(self) -> None:
        """Watch no files, and end the threads that read them."""
        self._changes.close()
        self._readers.close()
        self._lister.close()

    def _read(self, read: Callable[[Reading], _Result]) -> _Result:
        return read_at_once(self._root, read, store=self._name).get()

    async def _holds_elsewhere(self, origin: _Origin | None) -> bool:
        """Return whether everything looks so still, of what only a thread may look at."""
        if origin is None or origin.witness is not None:
            return False
        return await self._readers.do(origin.looks.prove)

    def _load_here(self, ref: PromptRef) -> tuple[Outcome[Content], bool]:
        """Return what a prompt is, and whether all that tells so is at hand."""
        outcome = self._load(ref)
        return outcome, all(map(self._at_hand, (self._root.path, *outcome.looks.paths())))

    def _load(self, ref: PromptRef) -> Outcome[Content]:
        return read_at_once(
            self._root, lambda reading: self._resolve(reading, ref), store=self._name
        )

    def _load_for_list(self, prompt_id: str) -> Outcome[Content]:
        return self._load(PromptRef(id=prompt_id))

    def _resolve(self, reading: Reading, ref: PromptRef) -> Content:
        prompt = self._find(reading, ref)
        content = self._contents.read(reading, ref, prompt, prompt.choose())
        if ref.version is not None and ref.version not in (
            content.template.version,
            content.template.content_sha256,
        ):
            raise prompt.no_such_version(content.template.version)
        return content

    def _find(self, reading: Reading, ref: PromptRef) -> Selection:
        return find_prompt(reading, ref, self._ids, store=self._name)

    def _versions(self, reading: Reading, ref: PromptRef) -> tuple[Template, ...]:
        """Return the versions that are not broken. Raises what is wrong where all are."""
        prompt = self._find(reading, ref)
        templates: list[Template] = []
        errors: list[ResolverError] = []
        for name in (None, *prompt.versions()[-MAX_VERSIONS:]):
            try:
                choice = prompt.plain if name is None else prompt.version(name)
                if choice is not None:
                    choice = choice._replace(environment=prompt.deployments.environment_of(name))
                    templates.append(self._contents.read(reading, ref, prompt, choice).template)
            except TemplateError as error:
                errors.append(error)
            except ResolverError:
                raise
            except Exception as fault:  # noqa: BLE001 - the other versions are none the worse
                errors.append(self._faults.tell(fault))
        if errors and not templates:
            raise errors[0]
        self._tell_broken(len(errors))
        return tuple(templates)

    def _environments(self, reading: Reading, ref: PromptRef) -> tuple[Environment, ...]:
        prompt = self._find(reading, ref)
        versions = {each.version: each for each in self._versions(reading, ref)}
        default, environments = prompt.deployments
        return tuple(
            Environment(
                id=name,
                name=name,
                tag="default" if name == default else "other",
                template=replace(versions[version], environment=name)
                if version in versions
                else None,
            )
            for name, version in environments.items()
        )

    def _tell_broken(self, broken: int) -> None:
        if broken:
            _log.warning(
                "versions are broken, the others are listed",
                extra={"store": self._name, "broken": broken},
            )


def _build(settings: DirectorySettings, site: Site) -> DirectoryStore:
    return DirectoryStore(
        name=site.name,
        root=site.find_folder(settings.path),
        rule=FormatRule(always=settings.format, otherwise=settings.default_format),
        timeout_s=settings.timeout_s,
    )


KIND = StoreKind(settings=DirectorySettings, build=_build, is_remote=False)
