"""Which words an answer came from: weights that add up to the network's output, each where its token lies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import transformers
from pyspark.sql import functions as F

from brightspark.core.errors import ArtifactError, InputError, SettingError
from brightspark.nlp import ExplainSettings, TextClassifier, TextClassifierModel, TextExplainer, explain
from brightspark.nlp.explain_predictor import load
from brightspark.nlp.tokens import check_spans
from tests.nlp.checkpoints import LABELS, WORDS, text

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.slow, pytest.mark.timeout(600)]


def weighed(folder: Path, said: str, label: str, **settings: Any) -> list[dict[str, Any]]:
    """The tokens of a text and their weights, without Spark."""
    predictor = load(folder, "cpu", ExplainSettings(steps=200, **settings))
    record = {"text": said, "prediction": label}
    pieces = list(predictor.split(record, None))  # type: ignore[arg-type]
    found: list[dict[str, Any]] = predictor.join(record, predictor.predict(predictor.prepare(pieces)))["tokens"]
    return found


def difference(folder: Path, said: str, label: int, **cut: Any) -> float:
    """What the network says of a text for a label, less what it says where each token is padding; by transformers."""
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder)
    network: Any = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    windows = tokenizer(said, truncation=True, return_overflowing_tokens=True, return_special_tokens_mask=True, **cut)
    found, lengths = [], []
    for tokens, special in zip(windows["input_ids"], windows["special_tokens_mask"], strict=True):
        hidden = [token if one else tokenizer.pad_token_id for token, one in zip(tokens, special, strict=True)]
        with torch.no_grad():
            full, without = (network(torch.tensor([each])).logits[0, label] for each in (tokens, hidden))
        found.append(float(full - without))
        lengths.append(len(tokens) - 2)
    return float(np.average(found, weights=lengths))


def test_weights_add_up_to_what_the_text_changes(classifier: Path) -> None:
    said = text("glad", 3)
    for number, label in enumerate(LABELS):
        tokens = weighed(classifier, said, label)
        assert sum(token["weight"] for token in tokens) == pytest.approx(difference(classifier, said, number), abs=0.02)


def test_tokens_lie_where_they_are_said_to(classifier: Path) -> None:
    said = "  The HOUSE,  and\na tree 🐕 was glad. "
    found = [said[token["start"] : token["end"]] for token in weighed(classifier, said, LABELS[0])]
    assert [one for one in found if len(one) > 1] == ["The", "HOUSE", "and", "tree", "was", "glad"]
    assert "🐕" in found


def test_a_long_text_is_weighed_window_by_window(classifier: Path) -> None:
    said = " ".join(text("grim", seed) for seed in range(12))
    tokens = weighed(classifier, said, LABELS[1], overlap=8)
    spans = [(token["start"], token["end"]) for token in tokens]
    assert spans == sorted(set(spans))
    assert " ".join(said[start:end] for start, end in spans) == said
    expected = difference(classifier, said, 1, max_length=64, stride=8)
    assert sum(token["weight"] for token in tokens) == pytest.approx(expected, abs=0.05)
    first = weighed(classifier, said, LABELS[1], overlap=8, pooling="first")
    assert [(token["start"], token["end"]) for token in first] == spans[: len(first)]
    assert 0 < len(first) < len(tokens)


@pytest.fixture(scope="module")
def model(spark: SparkSession, encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> TextClassifierModel:
    said = [(text(label, seed), label) for label in ("glad", "grim") for seed in range(120)]
    settings = {"epochs": 4, "batch_size": 16, "learning_rate": 3e-3, "loader_workers": 0, "precision": "float32"}
    classifier = TextClassifier(str(encoder), **settings, run_folder=str(tmp_path_factory.mktemp("runs")))
    return classifier.fit(spark.createDataFrame(said, "text string, label string"))


def rows(spark: SparkSession) -> DataFrame:
    said = [(text(label, seed), label) for label in ("glad", "grim") for seed in range(500, 520)]
    return spark.createDataFrame([*said, (None, "glad"), (" ", "grim")], "text string, label string")


def test_the_words_that_say_it_weigh_most(spark: SparkSession, model: TextClassifierModel) -> None:
    found = explain(model, model.transform(rows(spark))).collect()
    assert len(found) == 42
    told = [row for row in found if row["explain_error"] is None]
    assert len(told) == 40
    right = 0
    for row in told:
        assert row["explained"] == row["prediction"]
        most = max(row["tokens"], key=lambda token: token["weight"])
        right += row["text"][most["start"] : most["end"]] in WORDS[row["prediction"]]
    assert right >= 36


def test_every_row_comes_back_with_weights_or_a_reason(spark: SparkSession, model: TextClassifierModel) -> None:
    label = F.when(F.col("text").isNull(), "glad").when(F.length("text") == 1, None).otherwise("gladd")
    found = explain(model, rows(spark).withColumn("label", label), label_col="label").collect()
    assert {row["explain_error"] for row in found} == {
        "InputError: the text is null",
        "InputError: there is no label to explain: label is null",
        "InputError: the model has no label 'gladd'; did you mean 'glad'?",
    }
    assert all(row["tokens"] is None for row in found)


def test_what_cannot_be_explained_says_so(spark: SparkSession, model: TextClassifierModel) -> None:
    with pytest.raises(InputError, match=r"no column 'prediction' \(label_col\)"):
        explain(model, rows(spark))
    with pytest.raises(InputError, match=r"the column 'label' is array"):
        explain(model, rows(spark).withColumn("label", F.array("label")), label_col="label")
    for wrong in ({"precision": "bfloat16"}, {"steps": 0}, {"pooling": "median"}):
        with pytest.raises(SettingError, match=next(iter(wrong))):
            TextExplainer.of(model, **wrong)
    with pytest.raises(ArtifactError, match="does not say where its tokens lie"):
        check_spans(transformers.CanineTokenizer())
