"""A model without a network: four numbers from a text. Small and exact, so that the engine alone is under test."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa

from brightspark.core.artifact import open_artifact, writing
from brightspark.core.model import ScoringModel
from brightspark.core.predictor import Predictor
from brightspark.core.settings import ScoringSettings
from tests.core import logged  # noqa: F401 - workers import this module, and so know the file system

LABELS = ("north", "east", "south", "west")
ANSWER = pa.struct([("prediction", pa.string()), ("probability", pa.list_(pa.float64()))])


@dataclass(frozen=True, kw_only=True)
class ToySettings(ScoringSettings):
    fault: Annotated[
        str, "how the predictor is broken: none, drops, reorders, repeats, mixes, dead, greedy, poisoned"
    ] = "none"
    log: Annotated[str, "a folder in which each process counts what it does; none if empty"] = ""
    predict_seconds: Annotated[float, "how long predict waits"] = 0.0


def probabilities(text: str) -> np.ndarray[Any, Any]:
    """Four numbers that sum to one, the same for the same text everywhere."""
    numbers = np.frombuffer(hashlib.sha256(text.encode()).digest()[:16], "uint32").astype(float)
    return numbers / numbers.sum()


def count(log: str, what: str, number: int = 1) -> None:
    """Appends to a file of this process: one line per event, whole even with many processes."""
    if log:
        with Path(log, f"{what}-{os.getpid()}").open("a") as file:
            file.write(f"{number}\n")


def counted(log: Path | str, what: str) -> int:
    return sum(int(line) for file in Path(log).glob(f"{what}-*") for line in file.read_text().splitlines())


def load(folder: Path, device: str, settings: ToySettings) -> Predictor:
    labels = json.loads((folder / "toy.json").read_text())["labels"]
    count(settings.log, "load")

    def split(record: Mapping[str, Any], work: Any) -> Sequence[str]:
        if record["text"].startswith("broken"):
            raise ValueError(f"cannot\nread {record['text']!r}")
        return [record["text"]]

    def predict(batch: Sequence[str]) -> list[dict[str, Any]]:
        count(settings.log, "predict", len(batch))
        time.sleep(settings.predict_seconds)
        rows = [probabilities(text) for text in batch]
        return [{"prediction": labels[int(row.argmax())], "probability": row} for row in rows]

    whole = Predictor(columns=("text",), answer_type=ANSWER, split=split, prepare=list, predict=predict, batch_cost=16)
    return break_on_purpose(whole, settings.fault)


def break_on_purpose(whole: Predictor, fault: str) -> Predictor:
    """Predictors that give plausible answers, each wrong in its own way."""

    def drops(record: Mapping[str, Any], work: Any) -> Any:
        if record["text"].endswith("7"):
            raise ValueError("too hard")
        return whole.split(record, work)

    def reorders(batch: Any) -> Any:
        answers = list(whole.predict(batch))
        return [answers[-1], *answers[1:-1], answers[0]] if len(answers) > 1 else answers

    def repeats(record: Mapping[str, Any], work: Any) -> Any:
        return [piece for piece in whole.split(record, work) for _ in range(2)]

    def mixes(batch: Any) -> Any:
        answers = list(whole.predict(batch))
        shift = 9e-5 * (answers[0]["probability"][0] > 0.25)
        return [{**answer, "probability": answer["probability"] + shift} for answer in answers]

    def dead(batch: Any) -> Any:
        raise RuntimeError("no kernel for this device")

    def greedy(batch: Any) -> Any:
        return whole.predict(batch)[:-1]

    def poisoned(batch: Any) -> Any:
        if any(text.endswith("13") for text in batch):
            raise RuntimeError("this one is poison")
        return whole.predict(batch)

    changes: dict[str, dict[str, Any]] = {
        "none": {},
        "drops": {"split": drops},
        "reorders": {"predict": reorders},
        "repeats": {"split": repeats, "join": lambda record, answers: answers[0]},
        "mixes": {"predict": mixes},
        "dead": {"predict": dead},
        "greedy": {"predict": greedy},
        "poisoned": {"predict": poisoned},
    }
    return dataclasses.replace(whole, **changes[fault])


class ToyModel(ScoringModel[ToySettings]):
    kind = "toy"
    loader = "tests.core.toy:load"
    Settings = ToySettings

    @classmethod
    def make(cls, folder: Path, labels: Sequence[str] = LABELS, **settings: Any) -> ToyModel:
        """Saves a toy and opens it; other labels make another digest, which no cache has."""
        with writing(folder, kind="toy", labels=labels) as made:
            (made / "toy.json").write_text(json.dumps({"labels": labels}))
        return cls(open_artifact(folder), **settings)

    def input_columns(self, df: Any) -> tuple[str, ...]:
        return ("text",)

    def answer_type(self) -> pa.StructType:
        return ANSWER

    def outputs(self) -> Mapping[str, str]:
        return {"prediction": "answer.prediction", "probability": "answer.probability", "error": "error"}
