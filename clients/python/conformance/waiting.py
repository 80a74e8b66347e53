"""The driver of `PromptResolverClient`."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from threading import Event, Thread, Timer
from typing import TypeAlias

import grpc
from google.protobuf.json_format import MessageToDict

from prompt_resolver import PromptResolverClient, PromptResolverError
from prompt_resolver.errors import from_rpc_error
from prompt_resolver.v1 import prompt_resolver_pb2 as pb

from .protocol import (
    DONE,
    UNKNOWN_METHOD,
    Answer,
    Command,
    Tally,
    call_options,
    client_options,
    failed,
    left,
    read_commands,
    seconds,
    succeeded,
    write_answer,
)

Call: TypeAlias = "Callable[..., pb.ResolveResponse | pb.CompleteResponse]"


class Driver:
    """What the commands do, by their names."""

    def __init__(self) -> None:
        self._connection: Command = {}
        self._client = PromptResolverClient()
        self._repetition: Repetition | None = None

    def connect(self, command: Command) -> Answer:
        self.close()
        self._connection = command
        self._client = self._new_client()
        return DONE

    def resolve(self, command: Command) -> Answer:
        with self._leaving(command) as client:
            return succeeded(client.resolve(command["prompt"], **call_options(command)))

    def complete(self, command: Command) -> Answer:
        with self._leaving(command) as client:
            return succeeded(client.complete(command["prompt"], **call_options(command)))

    def complete_stream(self, command: Command) -> Answer:
        events: list[Answer] = []
        with self._leaving(command) as client:
            stream = client.complete_stream(command["prompt"], **call_options(command))
            try:
                with closing(stream):
                    for event in stream:
                        events.append(MessageToDict(event))
                        if len(events) == command.get("cancel_after_messages"):
                            raise left()
            except PromptResolverError as error:
                return {**failed(error), "events": events}
        return {"ok": True, "events": events}

    def watch(self, command: Command) -> Answer:
        options = call_options(command)
        with closing(self._client.watch(*command["prompts"], **options)) as events:
            came = [MessageToDict(next(events)) for _ in range(command["messages"])]
        return {"ok": True, "events": came}

    def unimplemented(self, command: Command) -> Answer:
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes]
        call = self._client.channel.unary_unary(UNKNOWN_METHOD)
        try:
            call(b"", timeout=seconds(command.get("timeout_ms")))
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None
        return DONE

    def repeat(self, command: Command) -> Answer:
        self._repetition = Repetition(self._client, command)
        return DONE

    def stop(self, command: Command) -> Answer:
        assert self._repetition is not None
        return self._repetition.stop()

    def close(self) -> None:
        self._client.close()

    def _new_client(self) -> PromptResolverClient:
        return PromptResolverClient(self._connection["address"], **client_options(self._connection))

    @contextmanager
    def _leaving(self, command: Command) -> Iterator[PromptResolverClient]:
        """Give a call its client; one that will be left has its own, to end it by closing that."""
        leave_after_s = seconds(command.get("cancel_after_ms"))
        if leave_after_s is None:
            yield self._client
            return
        with self._new_client() as client:
            timer = Timer(leave_after_s, client.close)
            timer.start()
            try:
                yield client
            finally:
                timer.cancel()
                timer.join()


class Repetition:
    """Calls that are made again and again, in threads, until they are stopped."""

    def __init__(self, client: PromptResolverClient, command: Command) -> None:
        self._prompt = command["prompt"]
        self._options = call_options(command)
        self._call: Call = getattr(client, command["method"])
        self._ended = Event()
        self._tally = Tally()
        self._threads = [Thread(target=self._run) for _ in range(command["concurrency"])]
        for thread in self._threads:
            thread.start()

    def stop(self) -> Answer:
        self._ended.set()
        for thread in self._threads:
            thread.join()
        return self._tally.answer()

    def _run(self) -> None:
        while not self._ended.is_set():
            began_at = time.monotonic()
            outcome: str | PromptResolverError
            try:
                outcome = self._call(self._prompt, **self._options).prompt.version
            except PromptResolverError as error:
                outcome = error
            self._tally.count(outcome, time.monotonic() - began_at)


def main() -> None:
    driver = Driver()
    for command in read_commands():
        run: Callable[[Command], Answer] = getattr(driver, command["op"])
        try:
            answer = run(command)
        except PromptResolverError as error:
            answer = failed(error)
        write_answer(answer)
    driver.close()


if __name__ == "__main__":
    main()
