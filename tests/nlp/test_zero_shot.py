"""Labels that are only named: transformers' own zero-shot pipeline, on a small network of language inference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers
from pyspark.sql import SparkSession

from brightspark.core.errors import ArtifactError, SettingError
from brightspark.nlp import ZeroShotClassifierModel
from tests.nlp.checkpoints import save_classifier, text

NAMES = ["glad", "dark and stormy", "a river"]


@pytest.fixture(scope="module")
def inference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_classifier(
        tmp_path_factory.mktemp("inference") / "bert", labels=["contradiction", "neutral", "entailment"]
    )


@pytest.mark.parametrize("multi_label", [False, True])
def test_answers_are_the_pipelines_own(
    spark: SparkSession, inference: Path, multi_label: bool, one_thread: None
) -> None:
    said = [text(("glad", "grim")[seed % 2], seed, words=seed * 2) for seed in range(24)]  # some are cut
    pipeline: Any = transformers.pipeline("zero-shot-classification", model=str(inference), device="cpu")
    wanted = []
    for one in said:
        found = pipeline(one, NAMES, hypothesis_template="It is about {}.", multi_label=multi_label)
        shares = dict(zip(found["labels"], found["scores"], strict=True))
        wanted.append([shares[name] for name in NAMES])
    model = ZeroShotClassifierModel.pretrained(
        str(inference),
        candidate_labels=NAMES,
        hypothesis="It is about {}.",
        multi_label=multi_label,
        precision="float32",
    )
    assert model.labels == tuple(NAMES)
    rows = spark.createDataFrame([*enumerate(said), (99, None)], "id int, text string").repartition(2)
    answered = {row["id"]: row for row in model.transform(rows).collect()}
    np.testing.assert_allclose([answered[n]["probability"] for n in range(len(said))], wanted, atol=1e-4)
    for number, shares in enumerate(wanted):
        likely = [name for name, share in zip(NAMES, shares, strict=True) if share >= 0.5]
        assert answered[number]["prediction"] == (likely if multi_label else NAMES[int(np.argmax(shares))])
    assert "null" in answered[99]["error"]


def test_it_saves_and_loads_with_its_labels(inference: Path, tmp_path: Path) -> None:
    model = ZeroShotClassifierModel.pretrained(str(inference), candidate_labels=NAMES, precision="float32")
    model.save(str(tmp_path / "model"))
    loaded = ZeroShotClassifierModel.load(str(tmp_path / "model"))
    assert loaded.labels == tuple(NAMES)
    record = {"text": text("glad", 1)}
    assert np.array_equal(
        loaded.scorer().one(record).answer["probability"], model.scorer().one(record).answer["probability"]
    )


class TestRefused:
    def test_a_network_of_other_labels(self, classifier: Path) -> None:
        with pytest.raises(ArtifactError, match="language inference"):
            ZeroShotClassifierModel.pretrained(str(classifier), candidate_labels=NAMES)

    def test_a_label_that_leaves_no_room_for_the_text(self, inference: Path) -> None:
        model = ZeroShotClassifierModel.pretrained(str(inference), candidate_labels=["glad", "word " * 60])
        with pytest.raises(SettingError, match="half of the network"):
            model.scorer()

    @pytest.mark.parametrize(
        "setting",
        [{}, {"candidate_labels": ["one"]}, {"candidate_labels": ["one", "one"]}, {"candidate_labels": ["one", " "]},
         {"candidate_labels": NAMES, "hypothesis": "no place"}, {"candidate_labels": NAMES, "hypothesis": "{} and {}"}],
    )  # fmt: skip
    def test_settings_that_cannot_be(self, inference: Path, setting: dict[str, Any]) -> None:
        with pytest.raises(SettingError, match="hypothesis" if "hypothesis" in setting else "labels"):
            ZeroShotClassifierModel.pretrained(str(inference), **setting)
