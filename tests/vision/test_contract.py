"""The contract of every solution, on a small real timm model and real image files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from brightspark.core.testing import Answer, SolutionContract
from brightspark.vision import ImageClassifierModel
from tests.vision.networks import LABELS, open_picture, plain_timm, save_network
from tests.vision.pictures import save_pictures


@pytest.mark.slow
class TestImageClassifier(SolutionContract):
    no_estimator = "training comes with ImageClassifier"

    def model(self, folder: Path) -> ImageClassifierModel:
        self.folder = save_network(folder / "test_efficientnet")
        return ImageClassifierModel.pretrained(str(self.folder), precision="float32")

    def records(self, folder: Path) -> list[dict[str, Any]]:
        return [{"path": path} for path in save_pictures(folder, 210)]

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
