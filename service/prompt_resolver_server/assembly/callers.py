"""Those who may call: how they are known, and what they may use."""

from collections.abc import Collection, Iterator, Mapping
from typing import TypeAlias

from ..domain.aliases import Alias
from ..domain.permissions import Globs, Kind, Permissions
from ..domain.values import Value
from ..entry.access import Access, KnownCaller
from ..settings import ConfigError, Loaded
from ..settings.faults import Place
from ..settings.model import CallerSettings
from ..settings.secrets import Secret

Rules: TypeAlias = Mapping[Kind, tuple[str, ...]]
"""Globs by what they are about. What is not among them, a caller may use all of."""


class CallerReport(Value, frozen=True, kw_only=True):
    """One of those who may call: what it is known by, and what it may use.

    `notes` tell of rules that may not mean what they seem to.
    """

    name: str
    has_token: bool
    certificate: str | None
    rules: Rules
    notes: tuple[str, ...]


def check_callers(loaded: Loaded) -> None:
    """Raise `ConfigError` for callers that cannot be told apart, or not be known at all."""
    faults = [loaded.fault(place, problem) for place, problem in _list_faults(loaded)]
    if faults:
        raise ConfigError(*(line for fault in faults for line in fault.lines))


def build_access(loaded: Loaded) -> Access:
    """Return what lets the callers of a configuration in, which has been checked."""
    settings = loaded.settings
    return Access(
        master_key=settings.general_settings.master_key,
        callers=[
            KnownCaller(
                name=name,
                token=row.token,
                certificate=row.certificate,
                permissions=_build_permissions(_list_rules(row)),
            )
            for name, row in settings.callers.items()
        ],
    )


def report_callers(
    loaded: Loaded, stores: Collection[str], aliases: Mapping[str, Alias]
) -> Iterator[CallerReport]:
    """Tell of the callers of a configuration with these stores and aliases."""
    for name, row in loaded.settings.callers.items():
        rules = _list_rules(row)
        yield CallerReport(
            name=name,
            has_token=row.token is not None,
            certificate=row.certificate,
            rules=rules,
            notes=(
                *_list_idle(rules, "store", stores),
                *_list_idle(rules, "alias", aliases),
                *_list_brought(rules, aliases),
            ),
        )


def _list_rules(row: CallerSettings) -> Rules:
    """Return the globs of a caller, by what they are about; without those that are not set."""
    rules: Mapping[Kind, tuple[str, ...] | None] = {
        "prompt": row.prompts,
        "store": row.stores,
        "alias": row.aliases,
        "model": row.models,
    }
    return {kind: globs for kind, globs in rules.items() if globs is not None}


def _build_permissions(rules: Rules) -> Permissions:
    return Permissions({kind: Globs.of(globs) for kind, globs in rules.items()})


def _list_faults(loaded: Loaded) -> Iterator[tuple[Place, str]]:
    """Tell whose certificate nobody asks for, and who could be taken for somebody else."""
    settings = loaded.settings
    master_key = settings.general_settings.master_key
    tokens = {_read(master_key): "the master key"} if master_key is not None else {}
    certificates: dict[str, str] = {}
    for name, row in settings.callers.items():
        owner = f"that of {name!r}"
        if row.certificate is not None:
            place = ("callers", name, "certificate")
            if settings.server.tls_client_ca_file is None:
                yield place, "expected server.tls_client_ca_file beside it"
            if (other := certificates.setdefault(row.certificate, owner)) != owner:
                yield place, f"expected another one than {other}"
        if row.token is not None:
            other = tokens.setdefault(_read(row.token), owner)
            if other != owner:
                yield ("callers", name, "token"), f"expected another one than {other}"


def _read(token: Secret) -> str | Secret:
    """Return a token, or where its file is that is on another machine."""
    return token.reveal() or token


def _list_idle(rules: Rules, kind: Kind, names: Collection[str]) -> Iterator[str]:
    """Tell of globs that match nothing that is configured."""
    for glob in rules.get(kind, ()):
        if not any(name in Globs.of((glob,)) for name in names):
            yield f"no {kind} is configured that {glob!r} matches"


def _list_brought(rules: Rules, aliases: Mapping[str, Alias]) -> Iterator[str]:
    """Tell of aliases that may be used and bring prompts that may not be named."""
    if "prompt" not in rules:
        return
    permissions = _build_permissions(rules)
    for alias in aliases.values():
        if permissions.allow("alias", alias.name):
            brought = {each.prompt.id for each in alias.deployments if each.prompt is not None}
            for prompt in sorted(brought):
                if not permissions.allow("prompt", prompt):
                    yield (
                        f"the alias {alias.name!r} brings the prompt {prompt!r}, which"
                        " `prompts` does not name"
                    )
