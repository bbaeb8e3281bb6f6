"""Rows by number from memory-mapped files, near each other or far apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from brightspark.core.mapped import MappedRows

BATCHES = (100, 0, 1, 40, 100)
ROWS = sum(BATCHES)


@pytest.fixture
def mapped(tmp_path: Path) -> MappedRows:
    """Two files; the number, a text that is null at times, an array."""
    first, files = 0, []
    for number, sizes in enumerate((BATCHES[:2], BATCHES[2:])):
        files.append(tmp_path / f"{number}.arrow")
        schema = pa.schema(
            [("id", pa.int64()), ("text", pa.string()), ("v", pa.list_(pa.int8()))], {"file": str(number)}
        )
        with pa.OSFile(str(files[-1]), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
            for size in sizes:
                rows = [row(first + place) for place in range(size)]
                writer.write_batch(pa.RecordBatch.from_pylist(rows, schema))
                first += size
    return MappedRows(files, ["id", "text", "v"])


def row(number: int) -> dict[str, object]:
    return {"id": number, "text": None if number % 7 == 0 else f"row {number}", "v": [number % 3] * (number % 4)}


@pytest.mark.parametrize("count", [1, 3, 50, 2000])
def test_rows_come_as_asked_for(mapped: MappedRows, count: int) -> None:
    """Few are pointed at where they lie, many are gathered; also one that is asked for twice."""
    assert len(mapped) == ROWS
    numbers = np.random.default_rng(count).integers(0, ROWS, count)
    assert mapped.take(numbers).to_pylist() == [row(int(number)) for number in numbers]


def test_no_rows_have_the_columns_all_the_same(mapped: MappedRows) -> None:
    assert mapped.take([]).column_names == ["id", "text", "v"]
    assert len(mapped.take([])) == 0


@pytest.mark.parametrize("number", [-1, ROWS])
def test_a_row_that_is_not_there_is_an_error(mapped: MappedRows, number: int) -> None:
    with pytest.raises(IndexError, match=f"rows 0 to {ROWS - 1}"):
        mapped.take([0, number])
