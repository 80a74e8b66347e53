"""The names that were found in texts, by what the texts are.

A store that lists its prompts makes their templates anew each time, and parsing one takes longer
than all else that a list does.
"""

import hashlib
import threading
from collections.abc import Callable, Iterable, Sequence

_MAX_KNOWN = 1_000


class KnownNames:
    """Remembers what was found last. Any thread may ask."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[str, ...]] = {}
        self._lock = threading.Lock()

    def find(self, texts: Sequence[str], find: Callable[[], Iterable[str]]) -> tuple[str, ...]:
        """Return the names in texts, each once: those that are known, else those that `find` finds.

        What it finds depends on the texts alone.
        """
        key = _digest(texts)
        with self._lock:
            names = self._known.pop(key, None)
        if names is None:
            names = tuple(dict.fromkeys(find()))
        with self._lock:
            self._known[key] = names
            if len(self._known) > _MAX_KNOWN:
                del self._known[next(iter(self._known))]
        return names


def _digest(texts: Sequence[str]) -> bytes:
    digest = hashlib.sha256()
    for text in texts:
        encoded = text.encode(errors="surrogatepass")
        digest.update(len(encoded).to_bytes(8) + encoded)
    return digest.digest()
