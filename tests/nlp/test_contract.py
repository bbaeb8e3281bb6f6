"""The contract of every solution: a small BERT that classifies, a small mBART that translates, texts of all lengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder

from brightspark.core.evaluator import ClassificationEvaluator
from brightspark.core.testing import Answer, Bench, SolutionContract
from brightspark.core.translation_evaluator import TranslationEvaluator
from brightspark.nlp import TextClassifier, TextClassifierModel, Translator, TranslatorModel
from tests.nlp.checkpoints import LABELS, plain_logits, save_classifier, save_encoder, softmax, text
from tests.nlp.translators import FAMILIES, plain_translations, save_translator

MAX_CHARS = 2_000
WORDS = 45  # at most, in a window of 64 tokens: each text is one piece


@pytest.mark.slow
class TestTextClassifier(SolutionContract):
    def model(self, folder: Path) -> TextClassifierModel:
        self.folder = save_classifier(folder / "bert")
        return TextClassifierModel.pretrained(str(self.folder), precision="float32", max_chars=MAX_CHARS)

    def schema(self) -> str:
        return "text string"

    def records(self, folder: Path) -> list[dict[str, Any]]:
        return [{"text": text(("glad", "grim", "")[seed % 3], seed, words=seed % WORDS)} for seed in range(210)]

    def broken(self, folder: Path) -> list[dict[str, Any]]:
        return [{"text": ""}, {"text": " \t\n "}, {"text": "word " * MAX_CHARS}]

    def reference(self, records: Sequence[Mapping[str, Any]]) -> list[Answer]:
        rows = softmax(plain_logits(self.folder, [record["text"] for record in records]))
        assert len(set(rows.argmax(axis=1))) == len(LABELS), "the texts do not show every label"
        return [(LABELS[int(row.argmax())], list(row)) for row in rows]

    def test_works_in_a_cross_validator(self, bench: Bench, tmp_path: Path) -> None:
        """A rate at which nothing is learned loses against one at which something is."""
        said = [(text(label, seed), label) for label in ("glad", "grim") for seed in range(40)]
        rows = bench.spark.createDataFrame(said, "text string, label string")
        estimator = TextClassifier(
            str(save_encoder(tmp_path / "encoder")), epochs=8, batch_size=8, validation_share=0.2, loader_workers=0,
            run_folder=str(tmp_path / "runs"), precision="float32",
        )  # fmt: skip
        rates = [1e-9, 3e-3]
        grid = ParamGridBuilder().addGrid(estimator.getParam("learning_rate"), rates).build()
        evaluator = ClassificationEvaluator("accuracy")
        search = CrossValidator(estimator=estimator, estimatorParamMaps=grid, evaluator=evaluator, numFolds=2, seed=1)
        found = search.fit(rows)
        assert found.avgMetrics[1] > 0.8 > found.avgMetrics[0]
        assert isinstance(found.bestModel, TextClassifierModel)
        assert found.bestModel.artifact.training["learning_rate"] == rates[1]


@pytest.mark.slow
class TestTranslator(SolutionContract):
    def model(self, folder: Path) -> TranslatorModel:
        self.folder = save_translator(folder / "mbart50", "mbart50")
        return TranslatorModel.pretrained(
            str(self.folder),
            **FAMILIES["mbart50"],
            precision="float32",
            beams=2,
            max_new_tokens=12,
            max_chars=MAX_CHARS,
        )

    def schema(self) -> str:
        return "text string"

    def records(self, folder: Path) -> list[dict[str, Any]]:
        return [{"text": text(("glad", "grim", "")[seed % 3], seed, words=seed % 20)} for seed in range(210)]

    def broken(self, folder: Path) -> list[dict[str, Any]]:
        return [{"text": ""}, {"text": " \t\n "}, {"text": "word " * MAX_CHARS}]

    def reference(self, records: Sequence[Mapping[str, Any]]) -> list[Answer]:
        said = [record["text"] for record in records]
        found = plain_translations(
            self.folder, said, **FAMILIES["mbart50"], num_beams=2, max_new_tokens=12, early_stopping=False
        )
        return [(translation, [score]) for translation, score in found]

    def answer(self, row: Any) -> Answer:
        return row["translation"], [row["score"]]

    def test_works_in_a_cross_validator(self, bench: Bench, tmp_path: Path) -> None:
        """A rate at which nothing is learned loses against one at which something is."""
        said = [(text("glad", seed, 3), text("grim", 0, 3)) for seed in range(40)]  # always the same translation
        rows = bench.spark.createDataFrame(said, "text string, target string")
        estimator = Translator(
            "scratch", layers=1, width=64, vocabulary=320, dropout=0.0, epochs=25, batch_size=8, validation_share=0.0,
            loader_workers=0, run_folder=str(tmp_path / "runs"), precision="float32", training_tokens=32,
        )  # fmt: skip
        rates = [1e-9, 5e-3]
        grid = ParamGridBuilder().addGrid(estimator.getParam("learning_rate"), rates).build()
        evaluator = TranslationEvaluator()
        search = CrossValidator(estimator=estimator, estimatorParamMaps=grid, evaluator=evaluator, numFolds=2, seed=1)
        found = search.fit(rows)
        assert found.avgMetrics[1] > 60 > found.avgMetrics[0]
        assert isinstance(found.bestModel, TranslatorModel)
        assert found.bestModel.artifact.training["learning_rate"] == rates[1]
