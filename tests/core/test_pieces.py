"""Records split ahead of the model: many in one go where they are cheap, in parallel where they are not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pytest

from brightspark.core import pieces
from brightspark.core.predictor import Limits, Outcome, Predictor
from brightspark.core.score import Scorer

WAIT_SECONDS = 10


@pytest.fixture
def long_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is, a thread takes as many records as are there."""
    monkeypatch.setattr(pieces, "TURN_SECONDS", 60)


def scorer(split: Callable[[Any, Any], Any], predict: Callable[[Any], Any] = list, **limits: Any) -> Scorer:
    predictor = Predictor(
        columns=("number",),
        answer_type=pa.list_(pa.int64()),
        split=split,
        prepare=list,
        predict=predict,
        join=lambda record, answers: list(answers),
    )
    return Scorer(predictor, Limits(**limits))


def score(scorer: Scorer, *batches: Sequence[int]) -> list[Outcome]:
    scored = scorer.score([{"number": number} for number in batch] for batch in batches)
    return [outcome for outcomes in scored for outcome in outcomes]


def test_cheap_records_share_what_handing_them_over_costs(long_turns: None, monkeypatch: pytest.MonkeyPatch) -> None:
    submitted = 0

    class Counting(ThreadPoolExecutor):
        def submit(self, *call: Any, **settings: Any) -> Any:
            nonlocal submitted
            submitted += 1
            return super().submit(*call, **settings)

    monkeypatch.setattr(pieces, "ThreadPoolExecutor", Counting)
    outcomes = score(scorer(lambda record, work: [record["number"]], split_threads=4), range(1_000))
    assert [outcome.answer for outcome in outcomes] == [[number] for number in range(1_000)]
    assert submitted <= 1_000 / pieces.CHUNK_PIECES + 2 * 4 + 1  # and those who find nothing left


@pytest.mark.usefixtures("long_turns")
@pytest.mark.parametrize("batch", [13, 1])
def test_slow_records_are_in_progress_together_even_after_cheap_ones(batch: int) -> None:
    together = threading.Barrier(3)

    def split(record: Any, work: Any) -> list[int]:
        if record["number"] >= 10:
            together.wait(WAIT_SECONDS)
        return [record["number"]]

    batches = [range(start, min(start + batch, 13)) for start in range(0, 13, batch)]
    outcomes = score(scorer(split, split_threads=3), *batches)
    assert [outcome.answer for outcome in outcomes] == [[number] for number in range(13)]


def test_a_slow_record_ends_the_turn_of_its_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every record were slow: then no more are split ahead than there are turns."""
    monkeypatch.setattr(pieces, "TURN_SECONDS", 0)
    taken = 0
    ahead: list[int] = []

    def split(record: Any, work: Any) -> list[int]:
        nonlocal taken
        taken += 1
        return [record["number"]]

    def predict(batch: list[int]) -> list[int]:
        ahead.append(taken - batch[0])
        return batch

    score(scorer(split, predict, split_threads=1), range(1_000))
    assert max(ahead) <= 5 * 32 + 3  # five batches on their way, and a record a turn


def test_records_behind_a_slow_one_do_not_wait_for_it(long_turns: None) -> None:
    others, lock = threading.Event(), threading.Lock()
    split_so_far = 0

    def split(record: Any, work: Any) -> list[int]:
        nonlocal split_so_far
        if record["number"] == 0:
            assert others.wait(WAIT_SECONDS)
        else:
            with lock:
                split_so_far += 1
            if split_so_far == 40:
                others.set()
        return [record["number"]]

    outcomes = score(scorer(split, split_threads=2), range(41))
    assert [outcome.answer for outcome in outcomes] == [[number] for number in range(41)]


@pytest.mark.usefixtures("long_turns")
@pytest.mark.parametrize(("after", "answered"), [(0, 0), (1, 0), (200, 192)])
def test_a_record_that_fails_among_others_fails_alone(after: int, answered: int) -> None:
    """Before its first piece, after it, or in a later turn: then the model has had those of the turns before."""

    def split(record: Any, work: Any) -> Iterator[int]:
        if record["number"] == 13:
            yield from range(after)
            raise ValueError("thirteen")
        yield record["number"]

    failing = scorer(split)
    outcomes = score(failing, range(30))
    assert [outcome.error for outcome in outcomes] == ["ValueError: thirteen" if n == 13 else None for n in range(30)]
    assert [outcome.answer for outcome in outcomes] == [None if n == 13 else [n] for n in range(30)]
    assert failing.stats.pieces == 29 + answered


def test_long_records_take_turns_with_others(long_turns: None) -> None:
    order: list[int] = []

    def split(record: Any, work: Any) -> Iterator[int]:
        for piece in range(1_000 if record["number"] == 0 else 1):
            order.append(record["number"])
            yield piece

    outcomes = score(scorer(split, split_threads=1), [0, 1, 2])
    assert [len(outcome.answer) for outcome in outcomes] == [1_000, 1, 1]
    assert order.index(1) == pieces.CHUNK_PIECES
    assert order[-1] == 0


@pytest.mark.usefixtures("long_turns")
@pytest.mark.parametrize(("bound", "value"), [("CHUNK_BYTES", 10_000), ("CHUNK_PIECES", 10)])
@pytest.mark.parametrize("threads", [1, 4])
def test_turns_are_bounded(threads: int, bound: str, value: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, bound, value)
    lock = threading.Lock()
    held = most = 0

    def split(record: Any, work: Any) -> list[bytes]:
        nonlocal held
        with lock:
            held += 1
        return [b"x" * 1_000]

    def predict(batch: list[bytes]) -> list[int]:
        nonlocal held, most
        with lock:
            most = max(most, held)
            held -= len(batch)
        return [len(piece) for piece in batch]

    score(scorer(split, predict, split_threads=threads, waiting_bytes=10_000), range(3_000))
    # Ten a turn, of which four a thread may wait where an early one lasts; ten a batch, of which five are on their way.
    assert most <= 10 * (4 * threads + 1) + 10 * 5


def test_seconds_of_all_records_are_counted() -> None:
    waited = threading.Event()

    def split(record: Any, work: Any) -> list[int]:
        waited.wait(0.02)
        return [record["number"]]

    slow = scorer(split, split_threads=4)
    score(slow, range(8))
    assert 8 * 0.02 <= slow.stats.split_seconds < 2
