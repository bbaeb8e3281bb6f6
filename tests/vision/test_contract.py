"""The contract of every solution, on a small real timm model and real image files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder

from brightspark.core.evaluator import ClassificationEvaluator
from brightspark.core.testing import Answer, Bench, SolutionContract
from brightspark.vision import ImageClassifier, ImageClassifierModel, read_images
from tests.vision.coloured import save_coloured
from tests.vision.networks import LABELS, open_picture, plain_timm, save_network
from tests.vision.pictures import save_pictures


@pytest.mark.slow
class TestImageClassifier(SolutionContract):
    def model(self, folder: Path) -> ImageClassifierModel:
        self.folder = save_network(folder / "test_efficientnet")
        return ImageClassifierModel.pretrained(str(self.folder), precision="float32")

    def records(self, folder: Path) -> list[dict[str, Any]]:
        return [{"path": path} for path in save_pictures(folder, 210)]

    @pytest.mark.classic  # texts show it on Connect
    def test_works_in_a_cross_validator(self, bench: Bench, tmp_path: Path) -> None:
        """A rate at which nothing is learned loses against one at which something is."""
        rows = read_images(bench.spark, str(save_coloured(tmp_path / "pictures", 20)))
        classifier = ImageClassifier(
            "test_resnet", pretrained=False, image_size=32, epochs=10, batch_size=8, validation_share=0.2,
            loader_workers=0, color_jitter=0.0, run_folder=str(tmp_path / "runs"),
        )  # fmt: skip
        rates = [1e-9, 3e-3]
        grid = ParamGridBuilder().addGrid(classifier.getParam("learning_rate"), rates).build()
        search = CrossValidator(
            estimator=classifier,
            estimatorParamMaps=grid,
            evaluator=ClassificationEvaluator("accuracy"),
            numFolds=2,
            seed=1,
        )
        found = search.fit(rows)
        assert found.avgMetrics[1] > 0.7 > found.avgMetrics[0]
        assert isinstance(found.bestModel, ImageClassifierModel)
        assert found.bestModel.artifact.training["learning_rate"] == rates[1]

    def broken(self, folder: Path) -> list[dict[str, Any]]:
        (whole,) = save_pictures(folder, 1, first_seed=1000)
        truncated, text, empty = (folder / name for name in ("truncated.jpg", "text.jpg", "empty.jpg"))
        truncated.write_bytes(Path(whole).read_bytes()[:500])
        text.write_text("this is no image")
        empty.write_bytes(b"")
        return [{"path": str(path)} for path in (truncated, text, empty)]

    def reference(self, records: Sequence[Mapping[str, Any]]) -> list[Answer]:
        rows = plain_timm(self.folder, [open_picture(record["path"]) for record in records])
        assert len(set(rows.argmax(axis=1))) == len(LABELS), "the pictures do not show every label"
        return [(LABELS[int(row.argmax())], list(row)) for row in rows]
