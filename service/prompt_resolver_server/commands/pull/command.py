"""`prompt-resolver pull`: copies prompts from a store into a directory, checked, resumable.

Exit codes: 0 where all of them are there, 1 where some are not, 2 where the call or the
configuration has to change first, 130 where it was interrupted. The next run goes on from there.
"""

import asyncio
import os
import random
from argparse import Namespace
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from prompt_resolver.arguments import INTERRUPTED, USAGE_ERROR, ArgumentParser, UsageError
from prompt_resolver.endings import run_to_end

from ...assembly.configuration import load_configuration
from ...assembly.stores import build_stores
from ...assembly.trust import build_tls
from ...domain.errors import ResolverError
from ...settings import ConfigError
from ...templates.store import TemplateStore
from .claims import Claims
from .collected import Collector, Selection
from .copier import Copier, StoreDownError
from .journal import Journal
from .progress import Progress
from .retries import Retries, may_pass
from .tree import Tree, locked

_INCOMPLETE = 1


def main(argv: Sequence[str]) -> int:
    """Copy prompts; return the exit code."""
    arguments = _parser().parse_args(argv)
    return run_to_end("pull", lambda: _run(arguments))


def _run(arguments: Namespace) -> int:
    progress = Progress()
    try:
        return asyncio.run(_pull(arguments, progress))
    except ConfigError as error:
        for line in error.lines:
            progress.tell(f"prompt-resolver: {line}")
        return USAGE_ERROR
    except ResolverError as error:
        progress.tell(f"prompt-resolver pull: {error.reason}: {error}")
        return _INCOMPLETE if may_pass(error) else USAGE_ERROR
    except StoreDownError:
        progress.tell("prompt-resolver pull: the store answers no more; the next run goes on here")
        return _INCOMPLETE
    except KeyboardInterrupt:
        progress.tell("prompt-resolver pull: interrupted; the next run goes on here")
        return INTERRUPTED
    finally:
        progress.end()


async def _pull(arguments: Namespace, progress: Progress) -> int:
    loaded = load_configuration(arguments.config, os.environ)
    stores = build_stores(loaded, build_tls(loaded))
    sources = stores.sources
    # The examples are the default of who configures nothing, and nobody means to copy them.
    name = arguments.store or (stores.default if loaded.settings.stores else "")
    try:
        if name not in sources:
            raise UsageError(f"--store: expected one of {', '.join(sources)}")
        with locked(arguments.into):
            return await _copy(arguments, name, sources[name].store, progress)
    finally:
        for source in sources.values():
            await source.store.aclose()


async def _copy(arguments: Namespace, name: str, store: TemplateStore, progress: Progress) -> int:
    retries = Retries(
        draw=random.random, tell=lambda line: progress.tell(f"prompt-resolver pull: {line}")
    )
    selection = Selection(
        environments=tuple(arguments.environment), deployed_only=arguments.deployed_only
    )
    task = f"{name} {sorted(selection.environments)} {selection.deployed_only}"
    journal = Journal(arguments.into, task=task, now=datetime.now(UTC))
    copier = Copier(
        name=name,
        store=store,
        collector=Collector(store, selection, retries),
        retries=retries,
        root=arguments.into,
        journal=journal,
        claims=Claims(name=name, journal=journal, force=arguments.force),
        tree=Tree(arguments.into, journal, force=arguments.force),
        progress=progress,
    )
    complete = await copier.run(arguments.ids)
    progress.end()
    print(_summary(copier, arguments.into))
    return 0 if complete else _INCOMPLETE


def _summary(copier: Copier, root: Path) -> str:
    counts = copier.counts
    told = ", ".join(f"{number} {outcome}" for outcome, number in sorted(counts.items()))
    return f"{root}: {told or 'no prompts'}"


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="prompt-resolver pull",
        description="Copy prompts from a store into a directory, which a store of the type"
        " `directory` then serves as the first one does. What is there and the same is left as it"
        " is; a run that was interrupted is gone on with.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("ids", nargs="*", metavar="ID", help="the prompts' ids (all that the store lists)")
    add("--into", type=Path, required=True, metavar="DIR", help="the directory; made if need be")
    add(
        "--store",
        metavar="NAME",
        help="the store (the configuration's default one); humanloop needs no configuration",
    )
    add(
        "-c",
        "--config",
        type=Path,
        metavar="FILE",
        help="the configuration (PROMPT_RESOLVER_CONFIG)",
    )
    add(
        "--environment",
        action="append",
        default=[],
        metavar="NAME",
        help="copy only what is deployed to this environment; may be repeated",
    )
    add("--deployed-only", action="store_true", help="copy only versions that are deployed")
    add(
        "--force",
        action="store_true",
        help="replace files that somebody else wrote or edited, and copies of other prompts",
    )
    return parser
