"""Prompts that are fetched at the start, before anybody asks for them."""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence

from .catalogue import Catalogue
from .domain.answers import Credentials
from .domain.errors import Reason, ResolverError
from .domain.prompts import PromptRef
from .logs import place_of
from .metrics import Metrics
from .settings.model import PrefetchSettings

_log = logging.getLogger(__name__)

_AT_ONCE = 16
_ATTEMPT_S = 30.0
_FIRST_WAIT_S = 0.25
# A store that is back has its prompts asked for within this time.
_LAST_WAIT_S = 1.5


class Prefetch:
    """Fetches prompts until each of them is there: fresh, or as a copy that is served meanwhile.

    Once all that are required have been there, this is ready, and stays so: what is held is served
    through an outage, and a prompt that its store removes later is its callers' matter.
    """

    def __init__(
        self, catalogue: Catalogue, prompts: Sequence[PrefetchSettings], metrics: Metrics
    ) -> None:
        self._catalogue = catalogue
        self._prompts = prompts
        self._metrics = metrics
        self._required = {_refer(each) for each in prompts if each.required}
        # All that are not there yet, and whether each is required: of a service that is ready, too.
        self._absent: dict[PromptRef, bool] = {}
        self._free = asyncio.Semaphore(_AT_ONCE)
        self._ready = asyncio.Event()
        self._fetching: list[asyncio.Task[None]] = []

    @property
    def missing(self) -> Sequence[str]:
        """The required prompts that have not been there yet, each in a few words."""
        return sorted(_tell(ref) for ref in self._required)

    async def wait(self) -> None:
        """Return once every required prompt has been there."""
        await self._ready.wait()

    def adopt(self, catalogue: Catalogue, prompts: Sequence[PrefetchSettings]) -> None:
        """Fetch these prompts from now on, in place of those before. What is ready stays so."""
        for task in self._fetching:
            task.cancel()
        self._catalogue, self._prompts = catalogue, prompts
        if not self._ready.is_set():
            self._required = {_refer(each) for each in prompts if each.required}
        self.start()

    def start(self) -> None:
        """Begin, in the running event loop."""
        # A prompt that is named twice is required if either says so.
        self._absent = {_refer(each): False for each in self._prompts}
        self._absent.update((_refer(each), True) for each in self._prompts if each.required)
        self._note()
        self._fetching = [asyncio.ensure_future(self._fetch(ref)) for ref in self._absent]

    async def aclose(self) -> None:
        """Fetch nothing more."""
        for task in self._fetching:
            task.cancel()
        await asyncio.gather(*self._fetching, return_exceptions=True)

    async def _fetch(self, ref: PromptRef) -> None:
        """Ask for a prompt until it is there. The cache knows how often to ask."""
        wait_s = _FIRST_WAIT_S
        failures: Counter[Reason] = Counter()
        while (error := await self._try(ref)) is not None:
            reason = error.reason if isinstance(error, ResolverError) else Reason.INTERNAL
            failures[reason] += 1
            # It is asked for every other second, and fails alike.
            if failures[reason].bit_count() == 1:
                _log.warning(
                    "a prompt to prefetch is not there",
                    extra={
                        **self._describe(ref),
                        "reason": str(reason),
                        "failures": failures[reason],
                        **_describe(error),
                    },
                )
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, _LAST_WAIT_S)
        if failures:
            _log.info("a prompt to prefetch is there", extra=self._describe(ref))
        self._absent.pop(ref, None)
        self._required.discard(ref)
        self._note()

    async def _try(self, ref: PromptRef) -> Exception | None:
        """Return why a prompt is not there, or None if it is."""
        async with self._free:
            deadline = asyncio.get_running_loop().time() + _ATTEMPT_S
            try:
                await self._catalogue.fetch(ref, deadline=deadline, credentials=Credentials())
            except Exception as error:  # noqa: BLE001 - a fault of ours is no reason to give up
                return error
            return None

    def _note(self) -> None:
        required = sum(self._absent.values())
        self._metrics.prefetch_misses(required=required, optional=len(self._absent) - required)
        if not self._required:
            self._ready.set()

    def _describe(self, ref: PromptRef) -> dict[str, object]:
        """Return what the log tells of a prompt."""
        store = ref.store if ref.store is not None else self._catalogue.default_store
        selectors = {"version": ref.version, "environment": ref.environment}
        told = {name: value for name, value in selectors.items() if value is not None}
        return {"store": store, "prompt": ref.id, "required": self._absent.get(ref, False), **told}


def _refer(prompt: PrefetchSettings) -> PromptRef:
    return PromptRef(
        id=prompt.id, store=prompt.store, version=prompt.version, environment=prompt.environment
    )


def _describe(error: Exception) -> dict[str, object]:
    """Return what the log tells of a failure beside its reason."""
    return {"details": error.metadata} if isinstance(error, ResolverError) else place_of(error)


def _tell(ref: PromptRef) -> str:
    parts = {"version": ref.version, "environment": ref.environment, "store": ref.store}
    told = [f", {name} {value!r}" for name, value in parts.items() if value is not None]
    return f"prompt {ref.id!r}{''.join(told)}"
