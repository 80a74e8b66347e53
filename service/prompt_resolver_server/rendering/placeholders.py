"""Messages of the caller's, put where the template has room for them."""

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from ..domain.errors import invalid_request
from ..domain.prompts import Message, MessagePolicy, Placeholder

MAX_REPEATED_BYTES = 4 * 1024 * 1024
"""How many bytes of the caller's messages may stand in a prompt once more, as JSON."""


def join(
    rendered: tuple[Message, ...],
    placeholders: Sequence[Placeholder],
    *,
    named: Mapping[str, tuple[Message, ...]],
    messages: tuple[Message, ...],
    policy: MessagePolicy,
) -> tuple[Message, ...]:
    """Return a template's rendered messages with the caller's among them, as they are.

    `named` fills the placeholders of these names. By the policy, `messages` fill the last
    placeholder, after what it is given by name, and follow the template where there is none. A
    placeholder that nothing fills is left out. Raises REQUEST_INVALID for a name that the template
    lacks, and for messages that are too large for a template that has them stand in many places.
    """
    names = {placeholder.name for placeholder in placeholders}
    if unknown := named.keys() - names:
        raise invalid_request(
            f"placeholders.{min(unknown)}", "expected a placeholder of the template"
        )
    if messages and not _are_used(rendered, policy):
        messages = ()
    if not placeholders:
        return rendered + messages
    _check_repeated(placeholders, named)
    in_order = sorted(placeholders, key=lambda each: each.position)
    joined: list[Message] = []
    done = 0
    for placeholder in in_order:
        joined += rendered[done : placeholder.position]
        joined += named.get(placeholder.name, ())
        done = placeholder.position
    return (*joined, *messages, *rendered[done:])


def _check_repeated(
    placeholders: Sequence[Placeholder], named: Mapping[str, tuple[Message, ...]]
) -> None:
    size = 0
    for name, places in Counter(placeholder.name for placeholder in placeholders).items():
        if places > 1 and named.get(name):
            size += (places - 1) * len(msgspec.json.encode(named[name]))
            if size > MAX_REPEATED_BYTES:
                raise invalid_request(
                    f"placeholders.{name}",
                    f"expected at most {MAX_REPEATED_BYTES} bytes beyond the first of"
                    f" {places} places that the template has for them",
                )


def _are_used(rendered: tuple[Message, ...], policy: MessagePolicy) -> bool:
    match policy:
        case "append":
            return True
        case "ignore":
            return False
        case "without_user_turn":
            return not any(message.role == "user" for message in rendered)
