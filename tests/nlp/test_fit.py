"""Fine-tuning from a DataFrame to a model: what it learns, what transformers makes of it, what is refused."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
import transformers
from pyspark.sql import functions as F

from brightspark.core.errors import BudgetError, InputError, SettingError
from brightspark.nlp import TextClassifier, TextClassifierModel, evaluate
from brightspark.nlp.estimator import START
from brightspark.nlp.training import build, depths
from tests.nlp.checkpoints import plain_logits, save_classifier, save_encoder, softmax, text

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Settings of a training of seconds; Connect wants a folder that its server sees too."""
    return {
        "epochs": 6, "batch_size": 16, "learning_rate": 3e-3, "validation_share": 0.25, "loader_workers": 0,
        "precision": "float32", "run_folder": str(tmp_path_factory.mktemp("runs")),
    }  # fmt: skip


def table(spark: SparkSession, each: int, *, first: int = 0) -> DataFrame:
    said = [(text(label, seed), label) for label in ("glad", "grim") for seed in range(first, first + each)]
    return spark.createDataFrame(said, "text string, label string")


@pytest.fixture(scope="module")
def model(spark: SparkSession, encoder: Path, small: dict[str, Any]) -> TextClassifierModel:
    return TextClassifier(str(encoder), **small).fit(table(spark, 120))


def test_it_tells_texts_that_it_has_not_seen(spark: SparkSession, model: TextClassifierModel) -> None:
    assert model.labels == ("glad", "grim")
    assert model.artifact.metrics["accuracy"] > 0.9
    assert evaluate(model.transform(table(spark, 40, first=1000))).accuracy > 0.9


def test_transformers_opens_the_artifact_and_answers_the_same(
    spark: SparkSession, model: TextClassifierModel, tmp_path: Path
) -> None:
    model.save(str(tmp_path / "artifact"))
    said = [text("glad", 2000), text("grim", 2000)]
    expected = softmax(plain_logits(tmp_path / "artifact", said) / model.settings.temperature)
    loaded = TextClassifierModel.load(str(tmp_path / "artifact"))
    loaded = loaded.copy({loaded.getParam("precision"): "float32"})
    rows = loaded.transform(spark.createDataFrame([(one,) for one in said], "text string")).collect()
    np.testing.assert_allclose([row["probability"] for row in rows], expected, atol=1e-5)


@pytest.mark.parametrize(("width", "rate"), [(256, 3e-4), (384, 2e-4), (768, 1e-4), (32, 3e-4)])
def test_the_narrower_the_network_the_higher_the_rate(width: int, rate: float, tmp_path: Path) -> None:
    transformers.BertConfig(hidden_size=width).save_pretrained(tmp_path / START)
    assert TextClassifier("some/checkpoint").settled(cast(Any, SimpleNamespace(place=tmp_path))).rate == rate


def test_several_labels_a_text(spark: SparkSession, encoder: Path, small: dict[str, Any]) -> None:
    said = [(f"{text(first, seed)} {text(second, seed)}", sorted({first, second} - {""}))
            for seed in range(60) for first in ("glad", "") for second in ("grim", "")]  # fmt: skip
    rows = spark.createDataFrame(said, "text string, label array<string>")
    model = TextClassifier(str(encoder), **{**small, "epochs": 10}).fit(rows)
    assert model.settings.multi_label
    assert model.artifact.metrics["mean_average_precision"] > 0.9
    answered = {row["text"]: row["prediction"] for row in model.transform(rows).collect()}
    assert np.mean([answered[one] == labels for one, labels in said]) > 0.8


def test_null_and_empty_texts_are_counted_and_too_many_of_them_stop_it(
    spark: SparkSession, encoder: Path, small: dict[str, Any]
) -> None:
    rows = table(spark, 60)
    empty = spark.createDataFrame([(None, "glad"), (" ", "grim")], "text string, label string")
    few = TextClassifier(str(encoder), **{**small, "epochs": 1, "max_error_rate": 0.05}).fit(rows.union(empty))
    told = few.artifact
    assert told.training["training_rows"] + told.metrics["validation_rows"] == 120
    with pytest.raises(BudgetError, match="the text is"):
        TextClassifier(str(encoder), **small).fit(rows.union(empty))


def test_the_head_alone_leaves_the_encoder_as_it_is(
    spark: SparkSession, encoder: Path, small: dict[str, Any], tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    head = TextClassifier(str(encoder), **{**small, "epochs": 1, "trained_blocks": 0}).fit(table(spark, 40))
    head.save(str(tmp_path / "head"))
    before, after = load_file(encoder / "model.safetensors"), load_file(tmp_path / "head" / "model.safetensors")
    assert all(after[f"bert.{name}"].equal(tensor) for name, tensor in before.items() if "pooler" not in name)


@pytest.mark.parametrize(
    ("settings", "error", "reason"),
    [
        ({"checkpoint": ""}, InputError, "name the checkpoint"),
        ({"text_col": "texts"}, InputError, "did you mean 'text'"),
        ({"label_col": "labels"}, InputError, "did you mean 'label'"),
        ({"trained_blocks": 9}, SettingError, "trained_blocks=9"),
        ({"training_tokens": 2}, SettingError, "training_tokens"),
        ({"dropout": 1.0}, SettingError, "dropout"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told_before_any_training(
    spark: SparkSession,
    encoder: Path,
    small: dict[str, Any],
    settings: dict[str, Any],
    error: type[Exception],
    reason: str,
) -> None:
    with pytest.raises(error, match=reason):
        TextClassifier(**{"checkpoint": str(encoder), **small, **settings}).fit(table(spark, 4))


def test_a_single_label_is_nothing_to_tell_apart(spark: SparkSession, encoder: Path, small: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="two labels are needed"):
        TextClassifier(str(encoder), **small).fit(table(spark, 5).withColumn("label", F.lit("x")))


def test_depths_go_from_embeddings_to_head(classifier: Path) -> None:
    import transformers

    found = depths(transformers.AutoModelForSequenceClassification.from_pretrained(classifier))
    assert found["network.bert.embeddings.word_embeddings.weight"] == 0
    assert found["network.bert.encoder.layer.0.attention.self.query.weight"] == 1
    assert found["network.bert.encoder.layer.1.output.dense.weight"] == 2
    assert found["network.bert.pooler.dense.weight"] == 2
    assert found["network.classifier.weight"] == 3


def test_the_same_labels_keep_their_head_and_others_get_a_new_one(tmp_path: Path) -> None:
    from brightspark.nlp.fit_settings import TextFitSettings
    from brightspark.nlp.start import write_start

    source = save_classifier(tmp_path / "source", labels=("glad", "grim"))
    settings = TextFitSettings(checkpoint=str(source))
    for name, labels in {"same": ["glad", "grim"], "other": ["good", "poor"], "three": ["a", "b", "c"]}.items():
        write_start(tmp_path / name, settings, labels, multi_label=False)
    from safetensors.torch import load_file

    heads = {name: load_file(tmp_path / name / "model.safetensors")["classifier.weight"]
             for name in ("source", "same", "other", "three")}  # fmt: skip
    assert heads["same"].equal(heads["source"])
    assert not heads["other"].equal(heads["source"])
    assert heads["three"].shape[0] == 3


def test_examples_are_cut_to_the_tokens_of_training(tmp_path: Path) -> None:
    folder = save_encoder(tmp_path / "encoder")
    from brightspark.nlp.fit_settings import TextFitSettings
    from brightspark.nlp.start import write_start

    write_start(tmp_path / "start", TextFitSettings(checkpoint=str(folder)), ["a", "b"], multi_label=False)
    task = build({
        "network": str(tmp_path / "start"), "labels": ["a", "b"], "multi_label": False, "trained_blocks": None,
        "training_tokens": 16, "max_chars": 1000, "dropout": 0.0, "label_smoothing": 0.0, "class_weights": None,
        "balanced_sampling": False, "group_by_length": True,
    })  # fmt: skip
    assert task.example is not None
    assert task.collate is not None
    examples = [task.example({"text": text("glad", seed, words=seed * 4), "label": "b"}, True) for seed in range(6)]
    batch, truth = task.collate(examples)
    assert batch["input_ids"].shape == (6, 16)
    assert truth.tolist() == [1] * 6
    assert task.length == "length"
