"""From records to pieces: split by threads ahead of the model, in order, a moment's worth of records at a time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from brightspark.core.errors import one_line
from brightspark.core.feed import nbytes
from brightspark.core.predictor import Answer, Piece, Predictor, Record, Work
from brightspark.core.stats import Stats

CHUNK_PIECES = 64  # that one turn takes from a record's `split` before other records get theirs
CHUNK_BYTES = 16 << 20
TURN_SECONDS = 0.001  # after which a thread takes no further record; handing over takes a hundredth of it


@dataclass(eq=False, slots=True)
class Ticket:
    """A record on its way through the engine."""

    record: Record
    pieces: Iterator[Piece] | None = None  # what `split` has yet to give, once it was called
    count: int = 0  # of the pieces so far
    ended: bool = False  # whether these are all
    cut: list[Item] | None = None  # the last of them, until they are passed on
    answers: dict[int, Answer] = field(default_factory=dict)
    error: str | None = None

    @property
    def settled(self) -> bool:
        """Whether its outcome is known."""
        return self.error is not None or (self.ended and self.count == len(self.answers))

    def fail(self, error: BaseException) -> None:
        """The first error counts."""
        self.error = self.error or one_line(error)
        self.answers.clear()


@dataclass(eq=False, slots=True)
class Item:
    """A piece, and where its answer belongs."""

    ticket: Ticket
    index: int
    piece: Piece
    size: int
    bytes: int


class Splitter:
    """Splits records in threads that never wait for one another: they take turns at one queue."""

    def __init__(self, predictor: Predictor, work: Work, threads: int, stats: Stats) -> None:
        self.predictor, self.threads, self.stats = predictor, threads, stats
        self._work = work
        self._due: deque[Ticket] = deque()  # records whose pieces are to be passed on, in order
        self._turns: deque[Future[float]] = deque()

    def pieces(self, batches: Iterable[Sequence[Ticket]]) -> Iterator[list[Item]]:
        """The pieces of all records in order, at most two turns a thread ahead."""
        queue: deque[Ticket] = deque()  # records that no thread has taken yet
        with ThreadPoolExecutor(self.threads, thread_name_prefix="split") as pool:
            for tickets in batches:
                queue += tickets
                self._due += tickets
                for _ in tickets:
                    if not queue:  # all are taken: where records are cheap, a turn takes many
                        break
                    self._turns.append(pool.submit(self._turn, queue))
                    while len(self._turns) > 2 * self.threads:
                        yield from self._passed_on(pool)
            while self._turns:
                yield from self._passed_on(pool)

    def _passed_on(self, pool: ThreadPoolExecutor) -> Iterator[list[Item]]:
        """Waits for the first turn to end, and gives what is next in order."""
        self.stats.split_seconds += self._turns.popleft().result()
        while self._due and (items := self._due[0].cut) is not None:
            ticket = self._due[0]
            ticket.cut = None
            if ticket.ended:
                self._due.popleft()
            else:  # a long record: its next pieces are cut while the model has these
                self._turns.appendleft(pool.submit(self._turn, deque([ticket])))
            yield items

    def _turn(self, queue: deque[Ticket]) -> float:
        """Splits the next record, and where records are cheap the next ones; the seconds that took."""
        started = time.perf_counter()
        pieces = held = 0
        while pieces < CHUNK_PIECES and held < CHUNK_BYTES:
            try:
                ticket = queue.popleft()
            except IndexError:  # other threads were faster
                break
            items, held = self._split(ticket, held)
            pieces += len(items)
            ticket.cut = items  # the last thing done to it: from here on it can be passed on
            if time.perf_counter() - started > TURN_SECONDS:
                break
        return time.perf_counter() - started

    def _split(self, ticket: Ticket, held: int) -> tuple[list[Item], int]:
        """The next pieces of a record, and the bytes of the turn with them."""
        items: list[Item] = []
        try:
            if ticket.pieces is None:
                ticket.pieces = iter(self.predictor.split(ticket.record, self._work))
            for piece in ticket.pieces:
                item = Item(ticket, ticket.count, piece, self.predictor.size(piece), nbytes(piece))
                items.append(item)
                ticket.count += 1
                held += item.bytes
                if len(items) == CHUNK_PIECES or held >= CHUNK_BYTES:
                    return items, held
        except Exception as error:
            ticket.fail(error)
            items = []
        ticket.ended, ticket.pieces = True, None
        return items, held
