"""Conversations of two sides that take turns, as the APIs have them whose system stands apart."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, TypeAlias

from ...domain.errors import CallError, Reason, Violation
from ...domain.parameters import Json
from ...domain.prompts import Message
from .call_ids import tell_apart

Block: TypeAlias = dict[str, Json]


class Turn(NamedTuple):
    """What one side says before the other one does; the results of tools come first."""

    role: Literal["user", "assistant"]
    results: list[Block]
    others: list[Block]

    @property
    def blocks(self) -> list[Json]:
        """All that is said."""
        return [*self.results, *self.others]


def take_turns(
    messages: Sequence[Message], write: Callable[[Message, str], list[Block]]
) -> tuple[list[Json], list[Turn]]:
    """Return the blocks of the system's messages, and the turns of all others.

    `write` returns the blocks of a message at a path. The system speaks before the conversation,
    wherever in it a message of the system or of the developer stands. Messages of one side that
    follow each other are one turn, and no two calls have one id. Raises MESSAGES_MISSING where only
    the system speaks.
    """
    system: list[Json] = []
    turns: list[Turn] = []
    for index, message in enumerate(tell_apart(messages)):
        blocks = write(message, f"messages[{index}]")
        if message.role in ("system", "developer"):
            system += blocks
        elif blocks:
            role: Literal["user", "assistant"] = (
                "assistant" if message.role == "assistant" else "user"
            )
            if not turns or turns[-1].role != role:
                turns.append(Turn(role, [], []))
            (turns[-1].results if message.role == "tool" else turns[-1].others).extend(blocks)
    if not turns:
        raise _no_conversation()
    return system, turns


def trim_end(turns: Sequence[Turn]) -> None:
    """Take the white space off the end of an answer that the model is to go on with."""
    last = turns[-1]
    text = last.others[-1].get("text") if last.role == "assistant" else None
    if isinstance(text, str):
        last.others[-1]["text"] = text.rstrip()


def _no_conversation() -> CallError:
    expected = "expected one of a user, an assistant or a tool that is not empty"
    return CallError(
        Reason.MESSAGES_MISSING,
        f"messages: {expected}, as the provider answers no system message alone",
        violations=(Violation("messages", expected),),
    )
