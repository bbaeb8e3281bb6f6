"""The engine without Spark: nothing lost, order kept, memory bounded, failures kept to the record that failed."""

from __future__ import annotations

import dataclasses
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brightspark.core.errors import ModelError
from brightspark.core.feed import Room, ahead, nbytes
from brightspark.core.predictor import Limits, Predictor, one
from brightspark.core.score import Scorer

Batch = Sequence[Any]


def split(record: Any, work: Any) -> Iterator[int]:
    """The record's numbers, one piece each; a record may break before, between or after them."""
    for number in record["pieces"]:
        if number is None:
            raise ValueError("this piece is broken")
        yield number


LENGTHS = Predictor(
    columns=("pieces",),
    answer_type=pa.int64(),
    split=split,
    size=lambda piece: piece,
    prepare=list,
    predict=lambda batch: [piece * 10 for piece in batch],
    join=lambda record, answers: list(answers),
    batch_cost=32,
)


def run(predictor: Predictor, batches: Sequence[Sequence[Any]], **limits: Any) -> tuple[list[Any], Scorer]:
    scorer = Scorer(predictor, Limits(**limits))
    return list(scorer.score([[{"pieces": pieces} for pieces in batch] for batch in batches])), scorer


records = st.lists(st.one_of(st.none(), st.integers(1, 40)), max_size=5)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(records, max_size=6), max_size=6), st.integers(1, 4))
def test_every_record_has_its_own_outcome_in_order(batches: list[list[list[int | None]]], threads: int) -> None:
    scored, scorer = run(LENGTHS, batches, split_threads=threads)
    assert [len(batch) for batch in scored] == [len(batch) for batch in batches]
    for outcomes, pieces in zip(scored, batches, strict=True):
        for outcome, record in zip(outcomes, pieces, strict=True):
            if None in record:
                assert outcome.error == "ValueError: this piece is broken"
                assert outcome.answer is None
            else:
                assert outcome.answer == [piece * 10 for piece in record]
    assert scorer.stats.records == sum(map(len, batches))
    assert scorer.stats.errors == sum(None in record for batch in batches for record in batch)


def test_batches_are_bounded_by_the_largest_piece_times_their_number() -> None:
    seen: list[list[int]] = []
    sizes = [random.Random(0).randint(1, 40) for _ in range(500)]
    predictor = dataclasses.replace(LENGTHS, predict=lambda batch: [seen.append(list(batch)), *batch][1:])
    _, scorer = run(predictor, [[[size] for size in sizes]])
    assert sorted(piece for batch in seen for piece in batch) == sorted(sizes)
    for batch in seen:
        assert len(batch) == 1 or max(batch) * len(batch) <= 32
    assert scorer.stats.padding < 0.1  # of pieces in random order, a third would be padding
    assert scorer.stats.padded_cost == sum(max(batch) * len(batch) for batch in seen)


def test_a_longer_window_pads_less() -> None:
    chance = random.Random(0)
    batches = [[[chance.randint(1, 16)] for _ in range(50)] for _ in range(20)]
    shares = []
    for window in (1, 8, 64):
        _, scorer = run(dataclasses.replace(LENGTHS, window_batches=window), batches)
        shares.append(1 - scorer.stats.cost / scorer.stats.padded_cost)
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 2 * shares[2]


def test_one_bad_record_of_a_batch_fails_alone() -> None:
    calls: list[int] = []

    def predict(batch: Batch) -> list[int]:
        calls.append(len(batch))
        if 13 in batch:
            raise RuntimeError("unlucky")
        return [piece * 10 for piece in batch]

    predictor = dataclasses.replace(LENGTHS, predict=predict, size=one)
    (outcomes,), _ = run(predictor, [[[piece] for piece in range(32)]])
    assert [outcome.error for outcome in outcomes if outcome.error] == ["RuntimeError: unlucky"]
    assert outcomes[13].error
    assert [outcome.answer for outcome in outcomes if not outcome.error] == [[p * 10] for p in range(32) if p != 13]
    assert len(calls) <= 1 + 2 * 5  # halves of 32, down to one


def test_half_the_batch_after_an_out_of_memory_and_it_is_remembered() -> None:
    sizes: list[int] = []

    def predict(batch: Batch) -> list[int]:
        sizes.append(len(batch))
        if len(batch) > 10:
            raise MemoryError
        return list(batch)

    predictor = dataclasses.replace(LENGTHS, predict=predict, size=one, batch_cost=32)
    scored, scorer = run(predictor, [[[piece] for piece in range(200)]])
    assert not any(outcome.error for batch in scored for outcome in batch)
    assert scorer.batch_cost == 8
    assert [size for size in sizes if size > 10] == [32, 16]  # never tried again, in this task or the next
    assert all(not outcome.error for batch in scorer.score([[{"pieces": [1]}] * 50]) for outcome in batch)
    assert max(sizes[2:]) == 8
    assert scorer.stats.out_of_memory == 2


def test_a_model_that_fails_on_everything_fails_the_task() -> None:
    def predict(batch: Batch) -> list[int]:
        raise RuntimeError("no kernel")

    predictor = dataclasses.replace(LENGTHS, predict=predict, size=one)
    with pytest.raises(ModelError, match=r"first 20 records.*no kernel"):
        run(predictor, [[[piece] for piece in range(20)]])
    single = dataclasses.replace(predictor, batch_cost=1)
    with pytest.raises(ModelError, match="first 8 records"):
        run(single, [[[piece] for piece in range(20)]])


def test_a_single_bad_record_is_not_a_broken_model() -> None:
    def predict(batch: Batch) -> list[int]:
        raise RuntimeError("unlucky")

    (outcomes,), _ = run(dataclasses.replace(LENGTHS, predict=predict), [[[1]]])
    assert outcomes[0].error == "RuntimeError: unlucky"


@pytest.mark.parametrize("change", [lambda batch: batch[:-1], lambda batch: [*batch, 0]])
def test_a_wrong_number_of_answers_is_an_error(change: Any) -> None:
    predictor = dataclasses.replace(LENGTHS, predict=lambda batch: change(list(batch)))
    with pytest.raises(ModelError, match=r"gave \d+ answers for 3 pieces"):
        run(predictor, [[[1], [1], [1]]])


@pytest.mark.parametrize("where", ["prepare", "join"])
def test_errors_of_the_other_functions_are_the_records_too(where: str) -> None:
    def prepare(pieces: Batch) -> list[Any]:
        if 7 in pieces:
            raise ValueError("no seven")
        return list(pieces)

    def join(record: Any, answers: Batch) -> list[Any]:
        if 70 in answers:
            raise ValueError("no seven")
        return list(answers)

    change = {"prepare": prepare} if where == "prepare" else {"join": join}
    (outcomes,), _ = run(dataclasses.replace(LENGTHS, **change), [[[piece] for piece in range(1, 21)]])
    assert [index for index, outcome in enumerate(outcomes) if outcome.error] == [6]


def test_an_error_of_the_input_is_raised() -> None:
    def batches() -> Iterator[list[dict[str, Any]]]:
        yield [{"pieces": [1]}]
        raise OSError("the socket broke")

    with pytest.raises(OSError, match="the socket broke"):
        list(Scorer(LENGTHS).score(batches()))


def test_a_long_record_is_split_lazily_and_waits_for_the_model() -> None:
    """Three hours of a recording must not lie decoded in memory while the model is at its first minute."""
    split_so_far = 0
    most_ahead = 0
    answered = 0

    def long(record: Any, work: Any) -> Iterator[bytes]:
        nonlocal split_so_far
        for _ in range(2_000):
            split_so_far += 1
            yield b"x" * 100_000

    def predict(batch: Batch) -> list[int]:
        nonlocal answered, most_ahead
        most_ahead = max(most_ahead, split_so_far - answered)
        answered += len(batch)
        time.sleep(0.0005)
        return [len(piece) for piece in batch]

    predictor = dataclasses.replace(LENGTHS, split=long, size=one, predict=predict, join=lambda r, a: sum(a))
    (outcomes,), _ = run(predictor, [[[0]]], waiting_bytes=2_000_000)
    assert outcomes[0].answer == 2_000 * 100_000
    assert most_ahead < 400  # of 2,000


def test_decoding_runs_ahead_of_the_model() -> None:
    def slow(record: Any, work: Any) -> Iterator[int]:
        time.sleep(0.01)
        yield 1

    def predict(batch: Batch) -> list[int]:
        time.sleep(0.01 * len(batch))
        return list(batch)

    predictor = dataclasses.replace(LENGTHS, split=slow, predict=predict, size=one, batch_cost=8)
    started = time.perf_counter()
    _, scorer = run(predictor, [[[1]] * 80])
    took = time.perf_counter() - started
    stats = scorer.stats
    assert stats.split_seconds + stats.model_seconds > 1.3 * took  # one after the other, they would take their sum


def test_stopping_early_stops_the_threads() -> None:
    before = threading.active_count()
    scored = Scorer(LENGTHS).score([{"pieces": [1]}] for _ in range(10_000))
    next(scored)
    scored.close()
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threading.active_count() <= before


def test_stats_add_up_over_calls() -> None:
    _, scorer = run(LENGTHS, [[[1], [2], [None]]])
    first = scorer.stats.take()
    assert (first["records"], first["errors"], first["pieces"]) == (3, 1, 2)
    list(scorer.score([[{"pieces": [4]}]]))
    assert scorer.stats.take()["records"] == 1


def test_room_is_shared_and_a_request_larger_than_all_of_it_is_let_in_alone() -> None:
    room = Room(100)
    most = 0

    def use(size: int) -> None:
        nonlocal most
        with room(size):
            most = max(most, room.used)
            time.sleep(0.002)

    threads = [threading.Thread(target=use, args=(size,)) for size in [40, 60, 30, 500, 70, 100, 10] * 5]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert room.used == 0
    assert most in range(71, 501)
    assert most == 500  # alone: nothing was added to it


def test_ahead_is_bounded() -> None:
    made = 0

    def source() -> Iterator[int]:
        nonlocal made
        for number in range(100):
            made += 1
            yield number

    with ahead(source(), depth=2) as numbers:
        assert next(numbers) == 0
        time.sleep(0.2)
        assert made <= 5
        assert list(numbers) == list(range(1, 100))


def test_bytes_of_arrays_are_their_data() -> None:
    import numpy as np
    import torch

    assert nbytes(np.zeros((10, 10), "float32")) == 400
    assert nbytes({"ids": torch.zeros(8, dtype=torch.int64), "mask": [b"abc"]}) == 67


def test_the_engine_needs_no_spark() -> None:
    code = (
        "import sys; sys.modules['pyspark'] = None\n"
        "import brightspark.core.score, brightspark.core.worker\n"
        "assert 'torch' not in sys.modules\n"
        "from tests.core.test_score import LENGTHS\n"
        "from brightspark.core.score import Scorer\n"
        "print(Scorer(LENGTHS).one({'pieces': [1, 2]}).answer)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[10, 20]", done.stderr
