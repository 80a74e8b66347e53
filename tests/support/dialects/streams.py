"""Streamed answers as the tests of one dialect have them read."""

from collections.abc import Sequence
from dataclasses import dataclass

from prompt_resolver_server.domain.answers import Answer, Delta, Finish
from prompt_resolver_server.providers.assembler import Assembler
from prompt_resolver_server.providers.dialect import NO_QUIRKS, Dialect, Quirks, StreamReader


@dataclass(frozen=True)
class Streams:
    """What a dialect reads of streams, which come in portions.

    `to_the_end` tells that the connection ends after them. Without that, an answer has to be known
    as complete while more could come.
    """

    dialect: Dialect
    quirks: Quirks = NO_QUIRKS
    to_the_end: bool = False

    def read(self, *portions: bytes) -> tuple[StreamReader, list[Delta]]:
        """Return a stream's reader, whether it has failed or not, and the deltas."""
        reader = self.dialect.read_stream(self.quirks)
        end = (b"",) if self.to_the_end else ()
        return reader, [delta for each in (*portions, *end) for delta in reader.feed(each)]

    def feed(self, *portions: bytes) -> tuple[list[Delta], Finish | None]:
        """Return a stream's deltas and its finish, if it has one. Raises its failure."""
        reader, deltas = self.read(*portions)
        if reader.failure is not None:
            raise reader.failure
        return deltas, reader.finish

    def assemble(self, *portions: bytes) -> Answer:
        """Return the answer of a complete stream."""
        return answer_of(*self.feed(*portions))


def answer_of(deltas: Sequence[Delta], finish: Finish | None) -> Answer:
    """Return the answer that deltas and a finish make."""
    assert finish is not None
    assembler = Assembler()
    assembler.add(deltas)
    return assembler.finish(finish)
