"""The stores that a cache serves, which may be replaced while it does."""

from collections.abc import Mapping
from dataclasses import dataclass

from .source import Source, store_unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """Which sources are others than before, by name.

    `outgoing` are those before, `lost` the names of those whose templates are no longer there: they
    are gone, or elsewhere.
    """

    outgoing: Mapping[str, Source]
    lost: frozenset[str]


class Sources:
    """The sources by name: `current` has those that are served, and is always the same object.

    One that is gone is still found, by the calls that had begun before, until it is released.
    """

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self.current = dict(sources)
        self._gone: dict[str, Source] = {}
        self._outgoing: list[Source] = []

    def find(self, name: str) -> Source:
        """Return a source. Raises STORE_UNKNOWN."""
        source = self.current.get(name) or self._gone.get(name)
        if source is None:
            raise store_unknown(name, self.current)
        return source

    def replace(self, sources: Mapping[str, Source]) -> Replacement:
        """Serve these from now on. What is still the same object has not changed."""
        before = {**self.current}
        outgoing = {name: each for name, each in before.items() if sources.get(name) is not each}
        gone = {name: each for name, each in outgoing.items() if name not in sources}
        moved = {
            name
            for name, each in outgoing.items()
            if name in sources and sources[name].place != each.place
        }
        self.current.clear()
        self.current.update(sources)
        self._gone.update(gone)
        self._outgoing.extend(outgoing.values())
        return Replacement(outgoing=outgoing, lost=frozenset({*gone, *moved}))

    async def release(self, outgoing: Mapping[str, Source]) -> None:
        """Close what was replaced."""
        for name, source in outgoing.items():
            if self._gone.get(name) is source:
                del self._gone[name]
            if source in self._outgoing:
                self._outgoing.remove(source)
                await source.store.aclose()

    async def aclose(self) -> None:
        """Close all that have not been released, too."""
        for source in (*self._outgoing, *self.current.values()):
            await source.store.aclose()
