"""Training through Spark: ranks that start together, are followed, and fail with their own words."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from brightspark.core.errors import InputError, ModelError, SetupError
from brightspark.core.launch import train
from brightspark.core.run import Run
from tests.core import trainings
from tests.core.toy_training import write_rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.alone

ROWS = 240


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("staged")
    return write_rows(folder / "training", ROWS), write_rows(folder / "validation", 50)


def planned(folder: Path, staged: tuple[str, str], facts: Mapping[str, Any] | None = None, **settings: Any) -> Run:
    """Two ranks with all that has a state; not written yet."""
    chosen = {"ranks": 2, "loader_workers": 2, "snapshot_steps": 3, "ema_decay": 0.9, **settings}
    return trainings.planned(folder, staged, facts, write=False, **chosen)


@pytest.fixture(scope="module")
def undisturbed(
    spark: SparkSession, staged: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[Any]]:
    folder = tmp_path_factory.mktemp("undisturbed")
    lines: list[Any] = []
    train(spark, planned(folder, staged), say=lines.append)
    return folder, lines


@pytest.mark.slow
def test_the_driver_is_told_how_it_goes(undisturbed: tuple[Path, list[Any]]) -> None:
    folder, lines = undisturbed
    assert [line["epoch"] for line in lines if line["kind"] == "epoch"] == [0, 1, 2]
    last = [line for line in lines if line["kind"] == "step"][-1]
    assert (last["step"], last["steps"], last["seconds_left"]) == (30, 30, 0)
    assert last["samples_per_second"] > 0
    assert Run.open(folder).result() == {
        "steps": 30, "epochs": 3, "monitor": "loss", "best": min(
            line["loss"] for line in lines if line["kind"] == "epoch"
        ), "best_epoch": 2,
    }  # fmt: skip


@pytest.mark.slow
def test_what_a_rank_raises_for_good_is_told_with_its_own_words(
    spark: SparkSession, staged: tuple[str, str], tmp_path: Path
) -> None:
    broken = (write_rows(tmp_path / "rows", ROWS, broken=range(0, ROWS, 10)), staged[1])
    with pytest.raises(
        ModelError, match=r"(?s)the training failed: rank \d: Traceback.*BudgetError: .* cannot be read"
    ):
        train(spark, planned(tmp_path / "run", broken))


@pytest.mark.slow
def test_what_one_rank_alone_raises_is_told_at_once(
    spark: SparkSession, staged: tuple[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Not what the other one makes of its end, and not after three more launches."""
    with pytest.raises(ModelError, match=r"(?s)the training failed: rank 1: Traceback.*this rank cannot go on"):
        train(spark, planned(tmp_path, staged, {"fails_on_rank": 1}))
    assert "launching again" not in caplog.text


def test_the_same_call_goes_on_whatever_json_makes_of_it(staged: tuple[str, str], tmp_path: Path) -> None:
    facts = {"labels": ("a", "b"), "names": {1: "one"}}
    todo = planned(tmp_path, staged, facts, ranks=1, loader_workers=0, epochs=1)
    assert train(None, todo) == train(None, todo)


def test_a_folder_that_is_no_path_is_refused(staged: tuple[str, str]) -> None:
    with pytest.raises(InputError, match="must be a path: snapshots are renamed in it"):
        train(None, planned(Path("s3://bucket/run"), staged, ranks=1))


@pytest.mark.slow
def test_too_few_slots_are_found_out_before_and_soon(
    spark: SparkSession, staged: tuple[str, str], tmp_path: Path
) -> None:
    began = time.monotonic()
    with pytest.raises(SetupError, match="slots"):
        train(spark, planned(tmp_path, staged, ranks=5, batch_size=25))
    assert time.monotonic() - began < 60


def test_one_rank_trains_in_this_process_without_spark(staged: tuple[str, str], tmp_path: Path) -> None:
    todo = planned(tmp_path, staged, {"log": str(tmp_path)}, ranks=1, loader_workers=0, epochs=1)
    assert train(None, todo)["steps"] == 10
    assert (tmp_path / "weights.safetensors").exists()


def test_a_training_that_has_ended_is_not_started_again(staged: tuple[str, str], tmp_path: Path) -> None:
    todo = planned(tmp_path, staged, ranks=1, loader_workers=0, epochs=1)
    first = train(None, todo)
    began = (tmp_path / "weights.safetensors").stat().st_mtime_ns
    assert train(None, todo) == first
    assert (tmp_path / "weights.safetensors").stat().st_mtime_ns == began


def test_a_folder_with_another_training_is_refused(staged: tuple[str, str], tmp_path: Path) -> None:
    train(None, planned(tmp_path, staged, ranks=1, loader_workers=0, epochs=1))
    with pytest.raises(InputError, match=r"holds a training with another learning_rate \(0.01, not 0.5\)"):
        train(None, planned(tmp_path, staged, ranks=1, loader_workers=0, epochs=1, learning_rate=0.5))
    train(None, planned(tmp_path, staged, ranks=1, loader_workers=0, epochs=1, keep_snapshots=5))


def test_several_ranks_need_a_session(staged: tuple[str, str], tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="ranks=2 need a Spark session"):
        train(None, planned(tmp_path, staged))
