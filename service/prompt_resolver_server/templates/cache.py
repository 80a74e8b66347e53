"""The templates that this process holds, as their stores last confirmed them."""

import asyncio
import time
from collections.abc import Mapping

from ..errors import CallError, Reason, ResolverError, ServerError
from ..metrics import Metrics
from ..prompts import CacheResult, PromptRef, ServedTemplate, Template
from .store import TemplateStore

_Key = tuple[str, str, str | None, str | None]


class TemplateCache:
    """Serves templates of several stores and keeps what they returned.

    A held template is offered to its store with every call, and the store says whether it is
    current: so what is served was confirmed during the call. Owns the stores and closes them.
    """

    def __init__(
        self, *, stores: Mapping[str, TemplateStore], default_store: str, metrics: Metrics
    ) -> None:
        self._stores = stores
        self._default_store = default_store
        self._metrics = metrics
        self._held: dict[_Key, Template] = {}

    async def get(self, ref: PromptRef, *, refresh: bool, deadline: float) -> ServedTemplate:
        """Return the template that `ref` names, from its store or confirmed by it.

        `refresh` asks the store for a new copy whatever is held. `deadline` is on the event loop's
        clock. Raises what the store raises, STORE_UNKNOWN, and DEADLINE.
        """
        name = ref.store if ref.store is not None else self._default_store
        store = self._stores.get(name)
        if store is None:
            raise CallError(
                Reason.STORE_UNKNOWN,
                f"prompt.store: expected one of {', '.join(self._stores)}, got {name!r}",
                metadata={"store": name},
            )
        key = (name, ref.id, ref.version, ref.environment)
        held = self._held.get(key)
        template = await self._fetch(name, store, ref, None if refresh else held, deadline)
        result: CacheResult = "bypass" if refresh else "hit" if template is held else "miss"
        if template is not held:
            self._held[key] = template
        self._metrics.template_served(name, result)
        return ServedTemplate(
            template=template,
            store=name,
            cache=result,
            reason="pinned" if ref.version is not None else "deployed",
        )

    async def aclose(self) -> None:
        """Close the stores."""
        for store in self._stores.values():
            await store.aclose()

    async def _fetch(
        self,
        name: str,
        store: TemplateStore,
        ref: PromptRef,
        held: Template | None,
        deadline: float,
    ) -> Template:
        started = time.perf_counter()
        outcome = "ok"
        template = None
        try:
            async with asyncio.timeout_at(deadline):
                template = await store.fetch(ref, held)
            return template
        except TimeoutError:
            outcome = Reason.DEADLINE.lower()
            raise ServerError(
                Reason.DEADLINE,
                f"the deadline passed while store {name!r} was asked",
                metadata={"phase": "fetch", "attempts": "0"},
            ) from None
        except ResolverError as error:
            outcome = error.reason.lower()
            if error.reason is Reason.PROMPT_NOT_FOUND:
                self._held.pop((name, ref.id, ref.version, ref.environment), None)
            raise
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        finally:
            # A confirmed copy cost no fetch; counting it as one would hide how often stores are
            # read.
            if template is None or template is not held:
                self._metrics.template_fetched(name, outcome, time.perf_counter() - started)
