"""The demo's section on images: real photographs, scored on Spark, beside what plain timm says of them."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brightspark import samples
from brightspark.core.report import Card, Figures, Gallery, KeyFigure, Note, Section, Table
from brightspark.core.session import partitions
from brightspark.vision import ImageClassifierModel, read_images

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

TOP_K = 5
REPEATS = 30  # the photographs are few: for a throughput they are scored so often


def section(spark: SparkSession, say: Callable[[str], None]) -> Section:
    """Twenty photographs and three damaged files, their five likeliest labels, and how fast it went."""
    say("vision: fetching photographs and weights (19 MB, the first time only)")
    weights = samples.model("efficientnet-lite0")
    model = ImageClassifierModel.pretrained(str(weights), top_k=TOP_K)
    with tempfile.TemporaryDirectory(prefix="brightspark-demo-") as folder:
        photographs = Path(folder) / "photographs"
        shutil.copytree(samples.photographs(), photographs, ignore=shutil.ignore_patterns("labels.csv"))
        _add_damaged(photographs)
        say("vision: scoring on Spark")
        started = time.perf_counter()
        rows = model.transform(read_images(spark, str(photographs))).collect()
        first_seconds = time.perf_counter() - started
        say("vision: scoring with plain timm, to compare")
        rows.sort(key=lambda row: (row["error"] is not None, row["path"]))
        answered = [row for row in rows if row["error"] is None]
        plain = _plain_timm(weights, [row["path"] for row in answered])
        say(f"vision: scoring the photographs {REPEATS} times over, for the speed")
        speed = _throughput(spark, model, [row["path"] for row in answered])
        return _section(model, rows, plain, first_seconds, speed)


def _add_damaged(folder: Path) -> None:
    """Three files as every archive has them: cut short, empty, and no image at all."""
    whole = next(folder.rglob("*.jpg")).read_bytes()
    damaged = folder / "damaged on purpose"
    damaged.mkdir()
    (damaged / "cut short.jpg").write_bytes(whole[: len(whole) // 3])
    (damaged / "empty.jpg").write_bytes(b"")
    (damaged / "a text.jpg").write_text("this is no photograph", encoding="utf-8")


def _plain_timm(weights: Path, paths: Sequence[str]) -> list[tuple[str, float]]:
    """The likeliest label and its probability, image by image, as timm's own documentation does it."""
    import timm
    import torch
    from PIL import Image

    from brightspark.vision.labels import read_labels

    network = timm.create_model(f"local-dir:{weights}", pretrained=True).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(network), is_training=False)
    labels = read_labels(weights)
    answers = []
    with torch.inference_mode():
        for path in paths:
            with Image.open(path) as image:
                probabilities = network(transform(image.convert("RGB")).unsqueeze(0)).softmax(dim=1)[0]
            best = int(probabilities.argmax())
            answers.append((labels[best], float(probabilities[best])))
    return answers


def _throughput(spark: SparkSession, model: ImageClassifierModel, paths: Sequence[str]) -> dict[str, Any]:
    """Images a second, over a table that names each photograph many times; the workers are warm by now."""
    table = spark.createDataFrame([(path,) for _ in range(REPEATS) for path in paths], "path string")
    scored, observation = model.measure(table.repartition(partitions(spark)))
    started = time.perf_counter()
    scored.write.format("noop").mode("overwrite").save()
    seconds = time.perf_counter() - started
    return {**observation.get, "seconds": seconds, "rate": len(paths) * REPEATS / seconds}


def _section(
    model: ImageClassifierModel,
    rows: Sequence[Any],
    plain: Sequence[tuple[str, float]],
    first_seconds: float,
    speed: dict[str, Any],
) -> Section:
    answered = [row for row in rows if row["error"] is None]
    right = sum(row["prediction"] == row["label"] for row in answered)
    in_top = sum(row["label"] in [entry["label"] for entry in row["top"]] for row in answered)
    same = sum(row["prediction"] == label for row, (label, _) in zip(answered, plain, strict=True))
    failed = len(rows) - len(answered)
    return Section(
        title="Vision: what is on these photographs?",
        summary=(
            f"{len(answered)} photographs from ImageNet, classified on Spark by EfficientNet-Lite0 among "
            f"{len(model.labels):,} labels: {right} right at once, {in_top} within the first {TOP_K}. "
            f"{failed} files were damaged on purpose: each keeps its row and says what is wrong with it."
        ),
        blocks=[
            Figures(
                [
                    KeyFigure(f"{right} of {len(answered)}", "", "photographs named right by the likeliest label"),
                    KeyFigure(f"{same} of {len(answered)}", "", "answers equal to plain timm's, computed in this run"),
                    KeyFigure(f"{speed['rate']:.0f}", "images/s", f"scoring {speed['records']:,} files, workers warm"),
                    KeyFigure(f"{first_seconds:.1f}", "s", "the first job: workers start and load the model"),
                ]
            ),
            Gallery([_card(row) for row in rows], caption="Each file with its likeliest labels."),
            _comparison(answered, plain),
            Note(
                "Bars show what the network holds for likely; a confident answer can be wrong, and a label that it "
                "does not know cannot be given. So few photographs show that the way works, not how good the network "
                f"is. Spark computed in {_precision()}, plain timm in float32."
            ),
        ],
        licences=samples.licences("foolbox", "efficientnet-lite0"),
    )


def _card(row: Any) -> Card:
    return Card(
        title=Path(row["path"]).name,
        picture=None if row["error"] else Path(row["path"]).read_bytes(),
        answers=[(entry["label"], entry["probability"]) for entry in row["top"] or ()],
        truth=None if row["error"] else row["label"],
        error=row["error"],
    )


def _comparison(answered: Sequence[Any], plain: Sequence[tuple[str, float]]) -> Table:
    rows = [
        (row["label"], row["prediction"], f"{max(row['probability']):.3f}", label, f"{probability:.3f}")
        for row, (label, probability) in zip(answered, plain, strict=True)
    ]
    columns = ("truth", "brightspark", "probability", "plain timm", "probability")
    return Table(columns, rows, caption="brightspark on Spark beside plain timm, photograph by photograph.")


def _precision() -> str:
    from brightspark.core.precision import resolve_precision

    return resolve_precision("auto", "cpu")
