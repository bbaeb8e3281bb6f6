"""The demo's medical sections: a split that leaks nothing, and numbers that are those of the table."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import timm
import torch
from sklearn import metrics

from brightspark import samples
from brightspark.core import report as page
from brightspark.core.report import Figures, Gallery, Plot, Table
from brightspark.vision import demo_dicom, demo_finetune, demo_medical, demo_patches, demo_plain, read_images
from tests.vision.networks import open_picture, save_network

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import DataFrame, SparkSession

pytestmark = [pytest.mark.samples, pytest.mark.classic]


def pairs(spark: SparkSession) -> DataFrame:
    return read_images(spark, str(samples.dermoscopy() / "pairs.csv"))


def test_no_image_and_no_patch_is_on_both_sides(spark: SparkSession) -> None:
    train, test = (part.collect() for part in demo_patches.split_by_source(pairs(spark)))
    assert (len(train), len(test)) == (1145, 585)
    assert len({row["source"] for row in train}) + len({row["source"] for row in test}) == 199
    assert {row["source"] for row in train}.isdisjoint(row["source"] for row in test)
    assert {row["second_source"] for row in train}.isdisjoint(row["second_source"] for row in test)


def test_a_pair_of_two_images_is_left_out(spark: SparkSession) -> None:
    rows = [("a", "0", "0"), ("b", "1", "0"), ("c", "1", "1")]
    planted = spark.createDataFrame(rows, "path string, source string, second_source string")
    train, test = demo_patches.split_by_source(planted)
    assert [row["path"] for row in train.collect()] == ["c"]
    assert [row["path"] for row in test.collect()] == ["a"]


@pytest.fixture(scope="module")
def small_network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained and small: its features are enough to see whether the numbers are right."""
    return save_network(tmp_path_factory.mktemp("network") / "test_efficientnet")


@pytest.fixture(scope="module")
def run(spark: SparkSession, small_network: Path) -> Iterator[demo_patches.Run]:
    made = demo_patches.learn_and_measure(spark, small_network, lambda message: None)
    yield made
    made.scored.unpersist()


@pytest.mark.slow
def test_the_numbers_are_those_of_the_table(run: demo_patches.Run) -> None:
    rows = run.scored.collect()
    truth, guess = [row["label"] for row in rows], [row["prediction"] for row in rows]
    probability = np.array([row["probability"] for row in rows])
    report = run.report
    assert report.labels == ("Similar", "nonSimilar")
    assert report.counts.measured == len(rows) == 585
    assert {row["error"] for row in rows} == {None}
    assert report.accuracy == pytest.approx(metrics.accuracy_score(truth, guess), abs=1e-9)
    assert report.macro_f1 == pytest.approx(metrics.f1_score(truth, guess, average="macro"), abs=1e-9)
    assert report.auroc == pytest.approx(metrics.roc_auc_score(np.array(truth) == "nonSimilar", probability[:, 1]))
    np.testing.assert_array_equal(report.confusion.dense(), metrics.confusion_matrix(truth, guess))
    likeliest = np.array(report.labels)[probability.argmax(axis=1)]
    assert likeliest.tolist() == guess


@pytest.mark.slow
def test_the_page_shows_these_numbers(spark: SparkSession, run: demo_patches.Run, tmp_path: Path) -> None:
    section, rows = demo_medical.page(spark, run, []), run.scored.collect()
    right = sum(row["label"] == row["prediction"] for row in rows)
    assert f"right for {right} of 585 pairs" in section.summary
    assert "From 199 photographs" in section.summary
    figures = next(block for block in section.blocks if isinstance(block, Figures))
    assert [figure.value for figure in figures.figures][0::3] == [f"{100 * right / 585:.1f}", 0]
    assert sum(isinstance(block, Plot) for block in section.blocks) == 3
    examples, mistakes = (block for block in section.blocks if isinstance(block, Gallery))
    assert Counter(card.right for card in examples.cards) == {True: 4}
    assert Counter(card.right for card in mistakes.cards) == {False: demo_medical.MISTAKES}
    certain = [card.answers[0][1] for card in mistakes.cards]
    wrong = [max(row["probability"]) for row in rows if row["label"] != row["prediction"]]
    assert certain == sorted(wrong, reverse=True)[: demo_medical.MISTAKES]
    ways = next(block for block in section.blocks if isinstance(block, Table) and block.columns[0] == "way")
    assert ways.rows[0][2] == round(right / 585, 3)
    assert "260 pairs were left out" in page.write(tmp_path / "page.html", [section], title="", context={}).read_text(
        encoding="utf-8"
    )


@pytest.mark.slow
def test_fine_tuning_is_shown_with_its_curve_and_heat_maps(run: demo_patches.Run, small_network: Path) -> None:
    said: list[str] = []
    tuned = demo_finetune.fine_tune(run.train, run.test, small_network, said.append)
    rows = tuned.scored.collect()
    right = np.mean([row["label"] == row["prediction"] for row in rows])
    shown = demo_finetune.blocks(tuned, run.scored)
    tuned.scored.unpersist()
    figures, _ = (block for block in shown if isinstance(block, Figures))
    assert figures.figures[0].value == f"{100 * right:.1f}"
    assert len([line for line in said if "accuracy" in line]) == demo_finetune.EPOCHS
    assert next(block for block in shown if isinstance(block, Plot)).alt == "Loss by step"
    maps = next(block for block in shown if isinstance(block, Gallery)).cards
    assert 2 <= len(maps) <= demo_finetune.HEAT_MAPS
    assert all(isinstance(card.picture, bytes) and card.error is None for card in maps)
    learned = {row["source"] for row in run.train.collect()}
    assert learned.isdisjoint(row["source"] for row in rows)


def timm_features(weights: Path, paths: list[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The pooled features of each picture, as timm's own documentation computes them."""
    network = timm.create_model(f"local-dir:{weights}", pretrained=True, num_classes=0).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(network), is_training=False)
    with torch.inference_mode():
        return network(torch.stack([transform(open_picture(path)) for path in paths])).numpy()


@pytest.mark.slow
def test_spark_and_scikit_learn_agree(run: demo_patches.Run, small_network: Path) -> None:
    """The same features and the same objective give the same answers, up to the features' precision."""
    train, test = run.train.collect(), sorted(run.test.collect(), key=lambda row: row["path"])
    names, probabilities = demo_plain.logistic_regression(
        timm_features(small_network, [row["path"] for row in train]),
        [row["label"] for row in train],
        timm_features(small_network, [row["path"] for row in test]),
        regularisation=demo_patches.REGULARISATION,
    )
    ours = sorted(run.scored.collect(), key=lambda row: row["path"])
    assert np.mean([row["prediction"] == name for row, name in zip(ours, names, strict=True)]) > 0.98
    difference = np.abs(np.array([row["probability"] for row in ours]) - np.array(probabilities))
    assert np.median(difference) < 0.01


@pytest.mark.slow
def test_dicom_files_are_counted_and_shown_without_patients(spark: SparkSession, tmp_path: Path) -> None:
    import pydicom

    section = demo_dicom.section(spark, lambda message: None)
    figures = next(block for block in section.blocks if isinstance(block, Figures))
    assert figures.figures[0].value == "76 of 79"
    shown, failed = (block for block in section.blocks if isinstance(block, Gallery))
    assert all(card.picture for card in shown.cards)
    assert {"mammography, benign, breast", "mammography, malignant, breast"} <= {card.title for card in shown.cards}
    assert len(failed.cards) == len(demo_dicom.DAMAGED)
    assert all(card.error for card in failed.cards)
    table = next(block for block in section.blocks if isinstance(block, Table))
    assert [sum(row[place] for row in table.rows) for place in (1, 2)] == [79, 76]  # type: ignore[misc]
    written = page.write(tmp_path / "page.html", [section], title="", context={}).read_text(encoding="utf-8")
    headers = [pydicom.dcmread(path, force=True, stop_before_pixels=True) for path in samples.dicoms().iterdir()]
    patients = {str(header.get(fact, "")) for header in headers for fact in ("PatientName", "PatientID")}
    assert len(patients) > 10
    assert [name for name in patients if len(name) > 4 and name in written] == []
