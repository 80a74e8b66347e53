"""The log: one line of JSON for each event, and nothing in it that nobody meant to tell."""

import asyncio
import json
import logging
import sys
import threading
import traceback
from datetime import UTC, datetime
from typing import Any

from typing_extensions import override

_log = logging.getLogger(__name__)

# They tell the address of every request, and with it the ids of prompts; and what they sign.
_TALKATIVE = ("httpx", "httpcore", "botocore", "google", "urllib3")

REQUEST_LOG = "prompt_resolver_server.requests"
"""The logger of requests to providers. What it is told has prompts and variables in it."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """Writes a record as JSON: time, level, logger, message, and whatever `extra` holds.

    Of an exception it tells the type and the places in the code. An exception's text is left out:
    it may quote a prompt, a value or a key.
    """

    @override
    def format(self, record: logging.LogRecord) -> str:
        """Return the line for a record."""
        extra = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **extra,
        }
        if record.exc_info and record.exc_info[1] is not None:
            entry["type"] = type(record.exc_info[1]).__name__
            entry["where"] = where(record.exc_info[1])
        # JSON escapes all other control characters, and whatever is not ASCII.
        return json.dumps(entry, default=str).replace("\x7f", "\\u007f")


def configure_logs(level: str) -> None:
    """Write everything from this level on to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


def tell_faults_of_threads() -> None:
    """Log what ends a thread, or is raised where nothing can be, in place of Python's own words.

    Those have the exception's text in them.
    """
    threading.excepthook = _tell_fault_of_thread
    sys.unraisablehook = lambda fault: _tell("a fault was ignored", fault.exc_value)


def _tell_fault_of_thread(fault: threading.ExceptHookArgs) -> None:
    # Which is how a thread ends by itself.
    if fault.exc_type is not SystemExit:
        _tell("a thread has ended in a fault", fault.exc_value)


def tell_fault_of_loop(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what an event loop's exception handler is told; asyncio's own quotes values and texts."""
    exception = context.get("exception")
    # What asyncio says quotes the arguments of what failed. Where nothing did, it quotes nothing.
    said = context.get("message", "the event loop complains")
    _tell("nobody caught an exception" if exception is not None else said, exception)


def _tell(message: str, exception: BaseException | None) -> None:
    _log.error(message, extra=place_of(exception) if exception is not None else None)


def set_level(level: str) -> None:
    """Write everything from this level on."""
    logging.getLogger().setLevel(level.upper())


def write_requests() -> None:
    """Write the log of requests to standard error as it is, for people to read."""
    logger = logging.getLogger(REQUEST_LOG)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s\n"))
    logger.handlers = [handler]
    logger.setLevel(logging.DEBUG)
    logger.propagate = False


def hide_requests() -> None:
    """Keep the log of requests silent, whatever the other logs are told to tell."""
    logging.getLogger(REQUEST_LOG).setLevel(logging.WARNING)


def place_of(exception: BaseException) -> dict[str, object]:
    """Return what a log may tell of an exception, whoever writes the log: its type, and where."""
    return {"type": type(exception).__name__, "where": where(exception)}


def where(exception: BaseException) -> list[str]:
    """Return the places in the code that an exception came through, the innermost last."""
    frames = traceback.extract_tb(exception.__traceback__)
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames[-8:]]
