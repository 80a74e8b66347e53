"""A store's good and bad times."""

from tests.support.humanloop import HumanloopApi, send
from tests.support.upstream import Answer, Exchange

COLD = 300
"""How many prompts the store has that are not asked for all the time."""


def stock(api: HumanloopApi) -> None:
    """Give the store its prompts: one that is asked for all the time, and many that are not."""
    for number in range(COLD):
        api.put(f"cold/{number}", prompt_id=f"pr_{number}", template=_template(f"cold {number}"))
    api.put("held", prompt_id="pr_held", template=_template("held"))


def _template(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"{text} {{{{text}}}}"}]


async def _failing(exchange: Exchange) -> None:
    await send(exchange, {"detail": "oops"}, status="500 Internal Server Error")


async def _nonsense(exchange: Exchange) -> None:
    await send(exchange, {"name": "held"})


async def _cut(exchange: Exchange) -> None:
    await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    exchange.writer.close()


async def _gone(exchange: Exchange) -> None:
    exchange.reset()


async def _silent(exchange: Exchange) -> None:
    await exchange.wait_closed()


WEATHER: tuple[Answer | None, ...] = (
    None,
    _failing,
    None,
    _nonsense,
    None,
    _cut,
    None,
    _gone,
    None,
    _silent,
)
"""What the store answers with in turn: as it should, or in place of that."""
