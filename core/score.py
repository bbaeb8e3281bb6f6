"""The scoring engine: batches of records in, batches of answers out, in order, and none is lost. It knows no Spark.

    records ──split──▶ pieces ──prepare──▶ batches ──predict──▶ answers ──join──▶ one outcome a record
             threads            feeding thread        the caller's thread

A solution describes its domain by a `Predictor`, a handful of functions. A `Scorer` runs it: decoding ahead of the
model, pieces of like size together, answers back in the order of the records, half the batch after an out-of-memory,
and a batch that fails taken apart until the one bad record is alone. The Spark UDF, the HTTP service, the apps and
the benchmarks all call the same `Scorer`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import BinaryIO

from brightspark.core.errors import ModelError, one_line
from brightspark.core.feed import Room, ahead
from brightspark.core.pieces import Item, Splitter, Ticket
from brightspark.core.precision import inference, is_out_of_memory, release_memory
from brightspark.core.predictor import Answer, Batch, Limits, Opener, Outcome, Predictor, Record, Work, one
from brightspark.core.stats import Stats

FIRST_FAILURES = 8  # records that may fail one by one before a model that never answered counts as broken

_Arrived = tuple[deque[Ticket], list[Outcome]]  # of a batch: the records on their way, and what became of those before


class Scorer:
    """Runs a predictor over any number of inputs; keeps what it learns about the batch size from one to the next.

    >>> import pyarrow as pa
    >>> lengths = Predictor(
    ...     columns=("text",),
    ...     answer_type=pa.int64(),
    ...     split=lambda record, work: [record["text"].split()],
    ...     prepare=list,
    ...     predict=lambda batch: [len(words) for words in batch],
    ... )
    >>> [outcomes] = Scorer(lengths).score([[{"text": "two words"}, {"text": None}]])
    >>> outcomes[0].answer, outcomes[1].error
    (2, "AttributeError: 'NoneType' object has no attribute 'split'")
    """

    def __init__(
        self,
        predictor: Predictor,
        limits: Limits | None = None,
        *,
        open: Opener | None = None,
    ) -> None:
        self.predictor = predictor
        self.limits = limits or Limits()
        self.batch_cost = predictor.batch_cost
        self.stats = Stats()
        self._work = Work(open or _no_paths, Room(self.limits.decoding_bytes))
        if predictor.module is not None:
            predictor.module.eval()

    def score(self, batches: Iterable[Sequence[Record]]) -> Iterator[list[Outcome]]:
        """Scores batches of records, lazily.

        Yields one list of outcomes for each batch of records, in the order of the batches and of their records.
        Raises ModelError when the model fails on every record of the first batch it is given, or gives a wrong number
        of answers: then the model is broken, not the data.
        """
        arrived: deque[_Arrived] = deque()
        proof = _Proof()
        with ahead(self._prepared(batches, arrived), depth=2) as groups:
            while True:
                started = time.perf_counter()
                prepared = next(groups, None)
                self.stats.wait_seconds += time.perf_counter() - started
                if prepared is None:
                    break
                self._predict(*prepared, proof)
                yield from self._settled(arrived)
        yield from self._settled(arrived)
        assert not arrived, "a record was left without an outcome"

    def one(self, record: Record) -> Outcome:
        """Scores a single record, as a service or an app does."""
        ((outcome,),) = self.score([[record]])
        return outcome

    # What runs on the feeding thread.

    def _prepared(
        self, batches: Iterable[Sequence[Record]], arrived: deque[_Arrived]
    ) -> Iterator[tuple[list[Item], Batch | Exception]]:
        splitter = Splitter(self.predictor, self._work, self.limits.split_threads, self.stats)
        for group in self._grouped(splitter.pieces(self._tickets(batches, arrived))):
            yield group, self._prepare(group)

    def _prepare(self, group: Sequence[Item]) -> Batch | Exception:
        started = time.perf_counter()
        try:
            return self.predictor.prepare([item.piece for item in group])
        except Exception as error:
            return error
        finally:
            self.stats.prepare_seconds += time.perf_counter() - started

    def _tickets(self, batches: Iterable[Sequence[Record]], arrived: deque[_Arrived]) -> Iterator[list[Ticket]]:
        for records in batches:
            tickets = [Ticket(record) for record in records]
            arrived.append((deque(tickets), []))
            yield tickets

    def _grouped(self, chunks: Iterator[list[Item]]) -> Iterator[list[Item]]:
        """Windows of items, each sorted by size (the largest first, so that memory runs out early) and cut by cost."""
        equal = self.predictor.size is one
        window: list[Item] = []
        held = cost = 0
        for item in chain.from_iterable(chunks):
            window.append(item)
            held += item.bytes
            cost += item.size
            full = self.batch_cost * (1 if equal else self.predictor.window_batches)
            if cost >= full or held >= self.limits.waiting_bytes:
                yield from self._cut(window)
                window, held, cost = [], 0, 0
        yield from self._cut(window)

    def _cut(self, window: list[Item]) -> Iterator[list[Item]]:
        group: list[Item] = []
        for item in sorted(window, key=lambda item: -item.size):
            if group and group[0].size * (len(group) + 1) > self.batch_cost:
                yield group
                group = []
            group.append(item)
        if group:
            yield group

    # What runs on the caller's thread.

    def _predict(self, group: list[Item], batch: Batch | Exception, proof: _Proof) -> None:
        """Answers a group, taking it apart as far as failures demand."""
        todo: list[tuple[list[Item], Batch | Exception | None]] = [(group, batch)]
        while todo:
            part, prepared = todo.pop()
            part = [item for item in part if item.ticket.error is None] if prepared is None else part
            if not part:
                continue
            if len(part) > 1 and _cost(part) > self.batch_cost:  # cut before memory ran out: do not try it again
                todo += _halves(part)
                continue
            try:
                answers = self._call(part, self._prepare(part) if prepared is None else prepared)
            except ModelError:
                raise
            except Exception as error:
                if is_out_of_memory(error):
                    self.stats.out_of_memory += 1
                    self.batch_cost = max(1, min(self.batch_cost, _cost(part) // 2))
                    release_memory(self.limits.device)
                if len(part) == 1:
                    part[0].ticket.fail(error)
                    proof.failed(error)
                else:
                    todo += _halves(part)
                continue
            proof.answered()
            for item, answer in zip(part, answers, strict=True):
                if item.ticket.error is None:
                    item.ticket.answers[item.index] = answer
        proof.judge(len(group))

    def _call(self, group: list[Item], batch: Batch | Exception) -> Sequence[Answer]:
        if isinstance(batch, Exception):
            raise batch
        started = time.perf_counter()
        try:
            with inference(self.predictor.module, self.limits.device, self.limits.precision):
                answers = self.predictor.predict(batch)
        finally:
            self.stats.model_seconds += time.perf_counter() - started
        if len(answers) != len(group):
            raise ModelError(
                f"predict gave {len(answers)} answers for {len(group)} pieces; it must give one for each, in order"
            )
        self.stats.batches += 1
        self.stats.pieces += len(group)
        self.stats.cost += sum(item.size for item in group)
        self.stats.padded_cost += _cost(group)
        return answers

    def _settled(self, arrived: deque[_Arrived]) -> Iterator[list[Outcome]]:
        while arrived:
            tickets, outcomes = arrived[0]
            while tickets and tickets[0].settled:
                outcomes.append(self._outcome(tickets.popleft()))
            if tickets:
                break
            arrived.popleft()
            yield outcomes

    def _outcome(self, ticket: Ticket) -> Outcome:
        self.stats.records += 1
        if ticket.error is None:
            try:
                answers = [ticket.answers[index] for index in range(len(ticket.answers))]
                return Outcome(self.predictor.join(ticket.record, answers))
            except Exception as error:
                ticket.fail(error)
        self.stats.errors += 1
        return Outcome(error=ticket.error)


class _Proof:
    """Whether the model has ever answered: until it has, failures speak against it and not against the records."""

    def __init__(self) -> None:
        self.works = False
        self.failures = 0
        self.last: BaseException | None = None

    def answered(self) -> None:
        self.works, self.last = True, None

    def failed(self, error: BaseException) -> None:
        if not self.works:
            self.failures, self.last = self.failures + 1, error

    def judge(self, group: int) -> None:
        if not self.works and self.last is not None and (group > 1 or self.failures >= FIRST_FAILURES):
            raise ModelError(
                f"the model failed on each of the first {self.failures} records it was given; the last time with "
                f"{one_line(self.last)}"
            ) from self.last


def _halves(part: list[Item]) -> list[tuple[list[Item], None]]:
    """Both halves of a group, the first one last: they go onto a stack."""
    middle = len(part) // 2
    return [(part[middle:], None), (part[:middle], None)]


def _cost(group: Sequence[Item]) -> int:
    return max(item.size for item in group) * len(group)


def _no_paths(path: str, *, whole: bool = True) -> BinaryIO:
    raise ModelError(f"this scorer was given no storage and cannot open {path!r}; pass open=")
