"""What a training of a classifier leaves: its artifact's card, and the measures and temperature of its answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, TypeVar

from pyspark.sql import functions as F

from brightspark.core import cache
from brightspark.core.artifact import Artifact
from brightspark.core.calibration import fit_temperature, rescaled
from brightspark.core.classifier import ClassifierModel
from brightspark.core.estimator import TRAINING, VALIDATION, Fit
from brightspark.core.evaluation import evaluate
from brightspark.core.fit_settings import ClassifierFitSettings, FitSettings
from brightspark.core.persisted import persisted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

LEAST_TO_CALIBRATE, LEAST_WRONG = 50, 10  # validation rows and errors, below which a temperature would be chance
RARE = 20  # training rows of a label
CALIBRATED = ("log_loss", "calibration_error")  # what a temperature changes
METRICS = (
    "accuracy", "balanced_accuracy", "macro_f1", "auroc", "average_precision",
    "mean_average_precision", "micro_f1", "exact_match", "hamming_loss", "log_loss", "calibration_error",
)  # fmt: skip

M = TypeVar("M", bound=ClassifierModel[Any])


def trained_classifier(
    model: type[M],
    fit: Fit,
    described: Artifact,
    settings: ClassifierFitSettings,
    *,
    reading: Mapping[str, Any],
    staged: Mapping[str, Any],
) -> M:
    """The model with a training's weights; what it was measured by stands in its artifact.

    `described` is the folder of the trained weights; `reading` the model's settings of what it reads, `staged` those
    with which it reads the rows as they were staged.
    """
    kept = cache.keep(described.address, described.digest, described.files)  # the fit's folder may go
    counts = _rows_by_label(fit)
    artifact = replace(
        described,
        address=str(kept),
        training={**training_card(fit, settings), "rows_by_label": counts},
        limits=(*held_out_limits(fit, settings), *_rare_labels(counts)),
    )
    columns = {name: getattr(settings, name) for name in ("prediction_col", "probability_col", "error_col")}
    said = {**reading, **columns, "multi_label": fit.survey.multi_label}
    if not fit.survey.held_out:
        return model(artifact, **said)
    reader = model(artifact, **staged, multi_label=fit.survey.multi_label)
    temperature, metrics = _measured(reader, fit.staged(VALIDATION), settings)
    return model(replace(artifact, metrics=metrics), **said, temperature=temperature)


def _measured(
    reader: ClassifierModel[Any], rows: DataFrame, settings: ClassifierFitSettings
) -> tuple[float, dict[str, Any]]:
    """The temperature, and the metrics at it, from one pass of the network over the validation rows."""
    scored_rows = reader.transform(rows).select("label", *reader.outputs())
    with persisted(scored_rows) as scored:
        before = _metrics(scored, reader.labels)
        if not settings.calibrate or before["validation_rows"] < LEAST_TO_CALIBRATE or _errors(before) < LEAST_WRONG:
            return 1.0, before
        found = fit_temperature(scored, labels=reader.labels)
        if found.note:  # a temperature at its bound says nothing of other rows
            return 1.0, before
        even = rescaled("probability", found.temperature, independent=reader.settings.multi_label)
        after = _metrics(scored.withColumn("probability", even), reader.labels)
    changed = {f"{name}_uncalibrated": before[name] for name in CALIBRATED if name in before}
    return found.temperature, {**after, **changed}


def _errors(metrics: Mapping[str, Any]) -> float:
    """How many answers are wrong, or would be, were a row's labels wrong together."""
    wrong = metrics["hamming_loss"] if "hamming_loss" in metrics else 1 - metrics["accuracy"]
    return round(float(wrong) * int(metrics["validation_rows"]))


def _metrics(scored: DataFrame, labels: Sequence[str]) -> dict[str, Any]:
    report = evaluate(scored, labels=labels).to_dict()
    named = {name: report[name] for name in METRICS if report.get(name) is not None}
    return {"validation_rows": report["counts"]["measured"], **named}


def _rows_by_label(fit: Fit) -> dict[str, int]:
    """The rows of each label that were learned from: those that could be read."""
    label = F.explode("label") if fit.survey.multi_label else F.col("label")
    counted = fit.staged(TRAINING).select(label.alias("label")).groupBy("label").count().collect()
    found = {row["label"]: row["count"] for row in counted}
    return {name: found.get(name, 0) for name in fit.survey.labels}


def training_card(fit: Fit, settings: FitSettings) -> dict[str, Any]:
    """What the card says of a training: the data, by name and number, and each setting."""
    manifest = fit.shards(TRAINING).manifest
    result = fit.result()
    own = {name: value for name, value in asdict(settings).items() if name not in ("storage_options", "run_folder")}
    return {
        "training_rows": manifest.rows,
        "data": fit.survey.fingerprint,
        "staged_data": manifest.row_hash,
        "steps": result["steps"],
        "best_epoch": result["best_epoch"],
        **own,
    }


def held_out_limits(fit: Fit, settings: FitSettings) -> tuple[str, ...]:
    """What whoever reads the metrics must know of the rows that they are over."""
    limits = []
    if fit.survey.held_out:
        held_out = len(fit.shards(VALIDATION))
        limits.append(
            f"The metrics are over rows out of {held_out:,} that were held out of training, but picked its best epoch "
            "and what was set by them: expect somewhat less elsewhere."
        )
    else:
        limits.append("No rows were held out: nothing is known of how good it is.")
    if settings.group_col is None:
        limits.append(
            "Rows were held out one by one. Where several rows show the same patient, camera, document or thing, the "
            "metrics are too good; group_col keeps such rows together."
        )
    return tuple(limits)


def _rare_labels(counts: Mapping[str, int]) -> tuple[str, ...]:
    rare = [name for name, count in counts.items() if count < RARE]
    shown = ", ".join(rare[:10]) + (", …" if len(rare) > 10 else "")
    return (f"Fewer than {RARE} training rows: {shown}.",) if rare else ()
