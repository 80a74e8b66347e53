"""`prompt-resolver config check`: tells what a configuration means, without running it."""

import asyncio
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from prompt_resolver.arguments import USAGE_ERROR, ArgumentParser

from ..assembly.callers import CallerReport
from ..assembly.configuration import load_configuration
from ..assembly.report import (
    AliasReport,
    ConfigReport,
    PromptReport,
    RowReport,
    build_report,
)
from ..assembly.trust import build_tls
from ..domain.aliases import Terms
from ..domain.permissions import Kind
from ..settings import ConfigError

_KINDS: Mapping[Kind, str] = {
    "prompt": "prompts",
    "store": "stores",
    "alias": "aliases",
    "model": "models",
}
_ACCOUNT = "the credentials of its account"
_NOT_SET: Mapping[str | None, str] = {
    None: "not set",
    "account": f"not set; else {_ACCOUNT}",
    "nothing": "not set, nor needed",
}


def main(argv: Sequence[str]) -> int:
    """Print what a configuration means; return 0, or 2 where it has faults, which are told."""
    arguments = _parser().parse_args(argv)
    try:
        loaded = load_configuration(arguments.file, os.environ, is_elsewhere=arguments.elsewhere)
        found = asyncio.run(build_report(loaded, build_tls(loaded)))
    except ConfigError as error:
        _tell_faults(error.lines)
        return USAGE_ERROR
    if arguments.json:
        print(msgspec.json.format(msgspec.json.encode(found)).decode())
    else:
        print("\n".join(_lines(found)))
    _tell_faults(found.faults)
    return USAGE_ERROR if found.faults else 0


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="prompt-resolver config",
        description="Tell what a configuration means: for each alias what will run, and whose key"
        " goes where. Nothing is called.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(metavar="check", required=True)
    check = commands.add_parser("check", help="tell what a configuration means")
    check.add_argument(
        "file",
        type=Path,
        nargs="?",
        metavar="FILE",
        help="the configuration (PROMPT_RESOLVER_CONFIG, else the defaults)",
    )
    check.add_argument(
        "--elsewhere",
        action="store_true",
        help="it is for another machine: files and folders that it names may be missing here",
    )
    check.add_argument("--json", action="store_true", help="print it as JSON")
    return parser


def _tell_faults(lines: Sequence[str]) -> None:
    for line in lines:
        print(f"prompt-resolver: {line}", file=sys.stderr)


def _lines(found: ConfigReport) -> Iterator[str]:
    yield f"stores: {', '.join(found.stores)}; by default {found.default_store}"
    for name, members in found.chains.items():
        yield f"chain {name}: {', then '.join(members)}"
    yield f"calls without an alias: {_terms(found.terms)}"
    for alias in found.aliases:
        yield ""
        yield from _alias_lines(alias)
    for caller in found.callers:
        yield ""
        yield from _caller_lines(caller)
    yield ""
    yield from (f"differs from LiteLLM: {each}" for each in found.differs)
    yield from (f"no effect: {each}" for each in found.without_effect)
    yield from (f"no key yet in the file of {each}" for each in found.absent_keys)
    yield from (f"doubtful: {each}" for each in found.doubts)


def _alias_lines(alias: AliasReport) -> Iterator[str]:
    yield alias.name
    for row in alias.rows:
        yield from (f"  {line}" for line in _row_lines(row, alone=len(alias.rows) == 1))
    for names, why in (
        (alias.fallbacks.general, ""),
        (alias.fallbacks.context_window, ", where the prompt is too long"),
        (alias.fallbacks.content_policy, ", where the prompt is blocked"),
    ):
        if names:
            yield f"  falls back to {', then '.join(names)}{why}"


def _caller_lines(caller: CallerReport) -> Iterator[str]:
    known_by = ["its token"] if caller.has_token else []
    if caller.certificate is not None:
        known_by.append(f"the certificate of {caller.certificate}")
    yield f"caller {caller.name}, known by {' or '.join(known_by)}"
    for kind, title in _KINDS.items():
        globs = caller.rules.get(kind)
        yield f"  {title:<10}  {'all' if globs is None else ', '.join(globs) or 'none'}"
    yield from (f"  note        {each}" for each in caller.notes)


def _row_lines(row: RowReport, *, alone: bool) -> Iterator[str]:
    yield f"model_list.{row.row}" + ("" if alone else f", {row.share:.0%} of the calls")
    yield f"  prompt      {_prompt(row.prompt)}"
    yield f"  model       {_model(row)}"
    yield f"  key         {_key(row)}"
    if row.parameters:
        yield f"  parameters  {', '.join(row.parameters)}: where the template sets none"
    yield f"  failures    {_terms(row.terms)}"
    yield from (f"  differs     {each}" for each in row.differs)


def _prompt(prompt: PromptReport) -> str:
    if prompt.id is None:
        return f"the call's, from {prompt.store}; or none"
    if prompt.version is not None:
        which = f"version {prompt.version}"
    elif prompt.environment is not None:
        which = f"as in {prompt.environment}"
    else:
        which = "as deployed"
    return f"{prompt.id} from {prompt.store}, {which}"


def _model(row: RowReport) -> str:
    if not row.model:
        return "the template's"
    own = f"{row.provider}/{row.model}"
    return f"the template's, else {own}" if row.prefer_template_model else own


def _key(row: RowReport) -> str:
    key = row.key
    if key is None:
        return "none" if row.model else "of the provider that the template names"
    to = f"to {key.provider} at {key.host}"
    if not key.source:
        return f"{_ACCOUNT if key.otherwise == 'account' else 'none'}, {to}"
    if key.is_there:
        return f"{key.source}, {to}"
    return f"{key.source} ({_NOT_SET[key.otherwise]}), {to}"


def _terms(terms: Terms) -> str:
    said = [f"tried again up to {terms.retries} times" if terms.retries else "not tried again"]
    if terms.timeout_s is not None:
        said.append(f"{terms.timeout_s:g} s for an attempt")
    if terms.stream_timeout_s is not None:
        said.append(f"{terms.stream_timeout_s:g} s to a stream's first event")
    if terms.drop_parameters:
        said.append("parameters that the provider lacks are dropped")
    return ", ".join(said)
