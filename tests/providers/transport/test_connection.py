"""One connection to a provider, as its event loop sees it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, closing

import pytest

from prompt_resolver_server.providers.transport.connection import Connection
from prompt_resolver_server.providers.transport.transport import Gathering
from prompt_resolver_server.runtime.alarms import Alarms
from prompt_resolver_server.runtime.turns import Turns

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PART = b"4\r\nmore\r\n"
HEAD, END = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + PART, b"0\r\n\r\n"
AT_ONCE = 4
MANY = 12


class Scene:
    """Connections whose servers are the other ends of pairs of sockets."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._loop = asyncio.get_running_loop()
        self.alarms = Alarms(self._loop)
        # No time passes: turns end by what happens alone.
        self.turns = Turns(self._loop, clock=lambda: 0.0)
        stack.callback(self.alarms.close)
        self.servers: list[socket.socket] = []

    async def connect(self) -> Connection:
        """Return a new connection. Its server is the last one."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._stack.enter_context(closing(theirs))
        self.servers.append(theirs)
        _, connection = await self._loop.create_connection(
            lambda: Connection(self._loop, alarms=self.alarms, turns=self.turns, sock=ours),
            sock=ours,
        )
        self._stack.callback(connection.abort)
        return connection

    def keep_waiting(self) -> list[asyncio.Future[None]]:
        """Have other answers wait for their turn, and return them."""
        others: list[asyncio.Future[None]] = [
            self._loop.create_future() for _ in range(2 * AT_ONCE)
        ]
        for other in others:
            self.turns.take(other)
        return others[AT_ONCE:]

    def answer(self, answer: bytes) -> None:
        """Have all servers answer, before the event loop looks for any of it."""
        for server in self.servers:
            server.sendall(answer)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    """No connections yet."""
    with ExitStack() as stack:
        yield Scene(stack)


async def begun(reading: Sequence[asyncio.Task[object]]) -> None:
    """Return when all of them wait."""
    await asyncio.sleep(0)
    assert not any(task.done() for task in reading)


async def most_at_once(reading: Sequence[asyncio.Task[object]]) -> int:
    """Return how many of them end in one round of the event loop at most."""
    ended, most = 0, 0
    while ended < len(reading):
        await asyncio.sleep(0)
        before, ended = ended, sum(task.done() for task in reading)
        most = max(most, ended - before)
    return most


@pytest.mark.timeout(10)
async def test_whole_answers_are_taken_in_turns(scene: Scene) -> None:
    """Of answers that arrive together, few are taken in one round of the event loop."""
    connections = [await scene.connect() for _ in range(MANY)]
    reading = [asyncio.ensure_future(each.exchange(b"x", 5)) for each in connections]
    await begun(reading)
    scene.answer(ANSWER)

    assert await most_at_once(reading) <= AT_ONCE
    assert [each.response.take() for each in connections] == [b"ok"] * MANY


@pytest.mark.timeout(10)
@pytest.mark.parametrize("last", [END, b"3\r\nEND\r\n"])
async def test_gathered_answers_are_taken_in_turns(scene: Scene, last: bytes) -> None:
    """So are streams that are gathered, when they have ended or tell that they are about to."""
    connections = [await scene.connect() for _ in range(MANY)]
    asking = [asyncio.ensure_future(each.exchange(b"x", 5)) for each in connections]
    await begun(asking)
    scene.answer(HEAD)
    await asyncio.gather(*asking)
    gathering = Gathering(up_to_s=60, unless=b"END")
    reading = [asyncio.ensure_future(each.read_some(5, gathering)) for each in connections]
    await begun(reading)
    scene.answer(last)

    assert await most_at_once(reading) <= AT_ONCE
    assert {bytes(await each) for each in reading} == {b"more" + (b"" if last == END else b"END")}


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    ("arriving", "in_turn", "read"),
    [pytest.param(PART, True, b"more", id="part"), pytest.param(END, False, b"", id="unread end")],
)
async def test_what_waits_for_nobody(
    scene: Scene, arriving: bytes, in_turn: bool, read: bytes
) -> None:
    """Neither a stream that is read as it comes, nor an end that nobody looks at, takes a turn."""
    connection = await scene.connect()
    scene.answer(HEAD)
    await connection.exchange(b"x", 5)
    assert await connection.read_some(5) == b"more"
    connection.in_turn = in_turn
    reading = asyncio.ensure_future(connection.read_some(5))
    await asyncio.sleep(0)
    scene.answer(arriving)
    others = scene.keep_waiting()

    assert await reading == read
    assert not any(other.done() for other in others)


@pytest.mark.timeout(10)
async def test_answer_in_time_is_not_late_by_its_turn(scene: Scene) -> None:
    """What has arrived before its time was over is taken, however long its turn takes to come."""
    connection = await scene.connect()
    reading = asyncio.ensure_future(connection.exchange(b"x", 5))
    await asyncio.sleep(0)
    assert len(scene.alarms) == 1
    scene.answer(ANSWER)
    others = scene.keep_waiting()
    # It is read in the next round, in which some others are taken.
    for _ in range(2):
        await asyncio.sleep(0)

    assert connection.response.ended
    assert not any(other.done() for other in others)
    assert scene.alarms == {}
    assert (await reading).take() == b"ok"
