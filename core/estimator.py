"""What every estimator does between a DataFrame and a model: survey, stage, train, and hand over what was learned.

    rows ─ survey ─┬─ stage ─ training ──┐
                   └─ stage ─ validation ┴─ train ─ model

All of it lies in one folder. With `run_folder` set it is kept, in a folder below named by the rows and the settings:
the same `fit` goes on there after a death, and another `fit` gets a folder of its own.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import uuid
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from pyspark.ml import Estimator
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import functions as F

from brightspark.core.cache import cache_root, file_lock
from brightspark.core.cross_entropy import balanced_weights
from brightspark.core.errors import BrightsparkError, BudgetError, InputError, SettingError, one_line
from brightspark.core.fit_settings import ClassifierFitSettings, FitSettings
from brightspark.core.launch import FREE, alone, train
from brightspark.core.manifest import Manifest, read_manifest
from brightspark.core.params import Configured
from brightspark.core.run import Run
from brightspark.core.shards import Shards
from brightspark.core.stage import spark_path, stage
from brightspark.core.storage import absolute, split_scheme
from brightspark.core.survey import Survey, is_held_out, survey, survey_rows
from brightspark.core.training_settings import TrainingSettings
from brightspark.core.transform import quoted, workers_are_here

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_log = logging.getLogger(__name__)

MOST_WEIGHT = 100.0  # of a positive against a negative, with several labels
TRAINING, VALIDATION, RUN = "training", "validation", "run"

S = TypeVar("S", bound=FitSettings)


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A fit on its way: where it lies, and what it learns from."""

    spark: SparkSession
    place: Path
    survey: Survey
    learned: DataFrame
    """The training rows, as the caller's table has them."""

    @property
    def run(self) -> Path:
        """The folder of the training itself."""
        return self.place / RUN

    @property
    def parts(self) -> tuple[str, ...]:
        """What is staged: training and, where rows are held out, validation."""
        return (TRAINING, VALIDATION) if self.survey.held_out else (TRAINING,)

    def shards(self, part: str) -> Shards:
        """What was staged of a part."""
        return Shards.open(f"{self.place}/{part}")

    def staged(self, part: str) -> DataFrame:
        """The same as Spark reads it."""
        folder = self.shards(part).manifest.shards[0].name.partition("/")[0]
        return self.spark.read.parquet(spark_path(f"{self.place}/{part}/{folder}"))

    def result(self) -> dict[str, Any]:
        """What the training came to: `steps`, `epochs`, `best`, `best_epoch`, `monitor`."""
        return Run.open(self.run).result() or {}


class TrainingEstimator(Configured[S], Estimator[Any], DefaultParamsReadable[Any], DefaultParamsWritable):
    """A pyspark.ml Estimator that trains by `brightspark.core.launch.train`.

    A solution names its builder and says what tells its rows apart, what is staged of them, what the builder must
    know, and how the model is made.
    """

    builder: ClassVar[str]

    labelled: ClassVar[bool] = True
    """Whether what is learned is labels, of which there are few and each has its rows."""

    watch: Callable[[Mapping[str, Any]], None] | None = None
    """Gets each line of the training's journal (`brightspark.core.journal.Journal`); by default the log does."""

    # What a solution says of itself.

    @abstractmethod
    def key(self, df: DataFrame) -> tuple[str, ...]:
        """The columns that name a row where no `group_col` is set; raises InputError where there are none."""

    @abstractmethod
    def truth_col(self) -> str:
        """The column of what is learned; rows without it take no part."""

    def origin(self) -> str:
        """Names the weights that training starts with, where the settings only say where: other ones, another fit."""
        return ""

    @abstractmethod
    def facts(self, fit: Fit) -> dict[str, Any]:
        """What the builder must know, as JSON. May write into `fit.place`: all ranks see it. Equal at every call."""

    def chosen(self, fit: Fit) -> Mapping[str, Any]:
        """Settings that are left open and go by the network or the rows. `facts` has written its files by then."""
        return {}

    @abstractmethod
    def rows(self, df: DataFrame, fit: Fit) -> DataFrame:
        """What is staged of rows: the columns that the task reads, and `error`, why a row has nothing to read."""

    @abstractmethod
    def model(self, fit: Fit) -> Any:
        """The model of a training that has ended."""

    # What every estimator does.

    def settled(self, fit: Fit) -> S:
        """The settings, with those that were left open."""
        return replace(self.settings, **self.chosen(fit))

    def _fit(self, dataset: DataFrame) -> Any:
        settings = self.settings
        group = self._group(dataset)
        truth, share = self.truth_col(), settings.validation_share
        look = survey if self.labelled else survey_rows
        found = look(dataset, truth, group=group, share=share, key=self.key(dataset))
        taking_part = dataset.filter(F.col(quoted(truth)).isNotNull())
        held_out = is_held_out(group, share, found.moved)
        with fit_folder(dataset.sparkSession, settings.run_folder, self._name(found)) as place:
            learned = taking_part.filter(~held_out)
            fit = Fit(spark=dataset.sparkSession, place=place, survey=found, learned=learned)
            with alone:
                facts = self.facts(fit)  # before the settings, which may go by what it writes
                todo = Run(
                    folder=fit.run,
                    builder=self.builder,
                    facts=facts,
                    training=str(place / TRAINING),
                    validation=str(place / VALIDATION) if found.held_out else None,
                    settings=self._training_settings(fit),
                )
                _try_task(todo)
            self._stage(fit, taking_part.filter(held_out))
            train(dataset.sparkSession, todo, say=self.watch)
            for part in fit.parts:  # this node's copy: no other fit reads it
                fit.shards(part).forget()
            return self.model(fit)

    def _stage(self, fit: Fit, held_out: DataFrame) -> None:
        """Stages both parts; the budget of errors is that of all rows together."""
        left = int(self.settings.max_error_rate * (fit.survey.rows + fit.survey.held_out))
        for part in fit.parts:
            side = held_out if part == VALIDATION else fit.learned
            try:
                left -= self._stage_once(self.rows(side, fit), fit.place / part, left).failed
            except BudgetError as error:
                raise BudgetError(f"{error}; max_error_rate={self.settings.max_error_rate} of all rows may") from error

    def _group(self, df: DataFrame) -> tuple[str, ...]:
        key = self.key(df)
        group = self.settings.group_col
        if group is not None and group not in df.columns:
            raise InputError(f"the table has no column {group!r} (group_col); there are {', '.join(df.columns)}")
        return key if group is None else (group,)

    def _name(self, found: Survey) -> str:
        """Names a fit: equal for the same rows and the same settings, but for those that change no result."""
        kept = {name: value for name, value in asdict(self.settings).items() if name not in {*FREE, "run_folder"}}
        said = json.dumps({"rows": found.fingerprint, "origin": self.origin(), **kept}, sort_keys=True, default=str)
        return f"fit-{hashlib.sha256(said.encode()).hexdigest()[:12]}"

    def _training_settings(self, fit: Fit) -> TrainingSettings:
        """Those of all trainings; a batch of more rows than there are would show some of them twice."""
        settled, found = self.settled(fit), fit.survey
        own = {declared.name: getattr(settled, declared.name) for declared in fields(TrainingSettings)}
        settings = TrainingSettings(**{**own, "batch_size": min(own["batch_size"], found.rows)})
        if found.held_out or settings.patience is None:
            return settings
        _log.warning("patience=%d has no validation rows to go by: all epochs are trained", settings.patience)
        return replace(settings, patience=None)

    def _stage_once(self, rows: DataFrame, path: Path, max_errors: int) -> Manifest:
        """Stages the rows that can be read, unless a fit that was killed later has."""
        staged = read_manifest(str(path))
        if staged is None:
            stage(rows, str(path), error="error", max_errors=max_errors)
            staged = read_manifest(str(path))
        if staged is None:
            raise InputError(
                f"the workers have staged the rows at {path}, and here nothing is there: run_folder must be a path "
                "that the driver and all workers see"
            )
        return staged


def classifier_facts(network: Path, found: Survey, settings: ClassifierFitSettings) -> dict[str, Any]:
    """`brightspark.core.classifier_facts.ClassifierFacts` as JSON."""
    return {
        "network": str(network),
        "labels": list(found.labels),
        "multi_label": found.multi_label,
        "trained_blocks": settings.trained_blocks,
        "label_smoothing": settings.label_smoothing,
        "class_weights": _label_weights(found) if settings.balance == "weights" else None,
        "balanced_sampling": settings.balance == "sampling",
    }


def _label_weights(found: Survey) -> list[float]:
    """By which rare labels count as much as frequent ones; with several labels, positives as much as negatives."""
    if not found.multi_label:
        return balanced_weights(found.counts)
    return [min(MOST_WEIGHT, max(1.0, (found.rows - count) / count)) for count in found.counts]


def _try_task(todo: Run) -> None:
    """Makes the task once, so that a setting that cannot work is told before any row is read."""
    try:
        todo.task()
    except BrightsparkError:
        raise
    except Exception as error:
        raise SettingError(f"there is no training with these settings: {one_line(error)}") from error


@contextmanager
def fit_folder(spark: SparkSession, run_folder: str | None, name: str) -> Iterator[Path]:
    """The folder of a fit: below the one that is named, which is kept; else one of its own, which is not."""
    if run_folder is not None:
        scheme, path = split_scheme(absolute(run_folder))
        if scheme != "file":
            raise InputError(f"run_folder={run_folder!r} must be a path: snapshots are renamed in it")
        yield Path(path) / name
        return
    if not workers_are_here(spark):
        raise InputError("set run_folder to a path that the driver and all workers see: rows are staged there")
    root = cache_root() / "fits"
    _sweep(root)
    place = root / f"{name}-{uuid.uuid4().hex[:8]}"
    with file_lock(place):  # freed when this process ends, however: so a later fit knows what nobody needs
        place.mkdir(mode=0o700)
        try:
            yield place
        finally:
            _remove(place)


def _sweep(root: Path) -> None:
    """Deletes what fits have left that were killed, as far as it can: what is another's, or damaged, stays."""
    for place in root.glob("fit-*"):
        with suppress(BlockingIOError, BrightsparkError), file_lock(place, wait=False):
            _remove(place)


def _remove(place: Path) -> None:
    """Deletes a fit's folder, this node's copies of its rows, and its lock, which is held."""
    for part in (TRAINING, VALIDATION):
        manifest = read_manifest(str(place / part))
        if manifest is not None:
            Shards(manifest).forget()
    shutil.rmtree(place, ignore_errors=True)
    place.with_name(f".{place.name}.lock").unlink(missing_ok=True)
