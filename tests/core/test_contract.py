"""The contract passes for a sound model, and for each one broken on purpose just the test named after it fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from brightspark.core.testing import SolutionContract, failed_tests
from tests.core.toy import LABELS, ToyModel, probabilities


class ToyContract(SolutionContract):
    no_estimator = "the toy learns nothing"
    fault = "none"

    def model(self, folder: Path) -> ToyModel:
        return ToyModel.make(folder / "toy", fault=self.fault)

    def schema(self) -> str:
        return "text string"

    def records(self, folder: Path) -> list[dict[str, Any]]:
        return [{"text": f"text number {number}"} for number in range(240)]

    def broken(self, folder: Path) -> list[dict[str, Any]]:
        return [{"text": f"broken {number}"} for number in range(3)]

    def reference(self, records: Any) -> list[Any]:
        rows = [probabilities(record["text"]) for record in records]
        return [(LABELS[int(row.argmax())], row) for row in rows]


class TestToy(ToyContract):
    """The whole contract on a sound model."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "caught_by"),
    [
        ("drops", "test_good_records_are_answered"),
        ("reorders", "test_answers_are_the_librarys_own"),
        ("repeats", "test_each_piece_is_predicted_once"),
        ("mixes", "test_one_partition_equals_many"),
    ],
)
def test_just_one_test_catches(fault: str, caught_by: str, spark: Any, tmp_path: Path) -> None:
    contract = ToyContract()
    contract.fault = fault
    assert failed_tests(contract, spark, tmp_path) == {caught_by}
