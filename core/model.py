"""The model that every solution's scoring model is: an artifact, its settings, and `transform`."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from pyspark.ml import Model
from pyspark.ml.util import DefaultParamsWriter, MLReadable, MLReader, MLWritable, MLWriter

from brightspark.core import cache
from brightspark.core.artifact import Artifact, open_artifact, writing
from brightspark.core.params import Configured
from brightspark.core.settings import ScoringSettings
from brightspark.core.transform import answers
from brightspark.core.worker import Scoring, local_folder, make_scorer

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, Observation

    from brightspark.core.score import Scorer


S = TypeVar("S", bound=ScoringSettings)


class ScoringModel(Configured[S], Model, MLWritable, MLReadable[Any]):
    """A pyspark.ml Model over an artifact. A solution names its kind, its loader, its settings and its answers."""

    kind: ClassVar[str]
    loader: ClassVar[str]

    def __init__(self, artifact: Artifact, **settings: Any) -> None:
        self.artifact = artifact
        super().__init__(**settings)

    # What a solution says of itself.

    def input_columns(self, df: DataFrame) -> tuple[str, ...]:
        """The columns of `df` that the model eats."""
        raise NotImplementedError

    def answer_type(self) -> pa.StructType:
        """The fields of an answer."""
        raise NotImplementedError

    def outputs(self) -> Mapping[str, str]:
        """The columns that `transform` adds, and where in the worker's result each stands: `answer.…` or `error`."""
        raise NotImplementedError

    def counted(self) -> Mapping[str, str]:
        """What `measure` counts besides: names, and where in the worker's result each one's boolean stands."""
        return {}

    def finished(self, scored: DataFrame) -> DataFrame:
        """What `transform` and `measure` give of scored rows; a model that adds columns in Spark SQL does it here."""
        return scored

    # What every model does.

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the order of the model's outputs."""
        return self.artifact.labels

    def _transform(self, dataset: DataFrame) -> DataFrame:
        return self.finished(answers(dataset, self._scoring(dataset), self.outputs(), metadata=self._metadata()))

    def measure(self, df: DataFrame) -> tuple[DataFrame, Observation]:
        """`transform`, and an observation that holds what it took once the first action is done.

        `observation.get` gives the sums over all tasks of `brightspark.core.stats.Stats`: records, errors, batches,
        seconds in split, prepare, wait, model and load; and what the model counts besides (translations that were cut).
        For batch DataFrames, on every kind of session.
        """
        from pyspark.sql import Observation

        observation = Observation("brightspark")
        scored = answers(
            df,
            self._scoring(df),
            self.outputs(),
            metadata=self._metadata(),
            observation=observation,
            counted=self.counted(),
        )
        return self.finished(scored), observation

    def scorer(self) -> Scorer:
        """The engine over this model in this process, without Spark: for a service, an app or a notebook."""
        return make_scorer(local_folder(self.artifact), self.loader, self.settings)

    def _scoring(self, df: DataFrame) -> Scoring:
        return self._scoring_by(self.loader, self.settings, self.input_columns(df), self.answer_type())

    def _scoring_by(
        self, loader: str, settings: ScoringSettings, columns: tuple[str, ...], answer_type: pa.StructType
    ) -> Scoring:
        # Labels can be tens of thousands; the workers read them from the model's own files.
        sent = replace(self.artifact, labels=(), settings={}, metrics={}, training={}, limits=())
        return Scoring(loader=loader, artifact=sent, settings=settings, columns=columns, answer_type=answer_type)

    def _metadata(self) -> dict[str, Any]:
        """What travels in the metadata of an answer's column, so that `evaluate` needs the table only."""
        return {"brightspark": {"kind": self.kind, "model": self.artifact.digest, "labels": list(self.labels)}}

    def save(self, path: str) -> None:
        """Writes the model as an artifact folder, local or at a URI.

        Raises InputError where something is at `path`; `model.write().overwrite().save(path)` replaces it.
        """
        self.write().save(path)

    def write(self) -> MLWriter:
        """Spark ML's writer: `overwrite()`, `session()`, `save(path)`."""
        return _Writer(self)

    @classmethod
    def load(cls, path: str) -> Any:
        """A model from an artifact folder or URI.

        Raises ArtifactError where it was changed, is of another kind, or has an unknown format version.
        """
        artifact = open_artifact(path, kind=cls.kind)
        return cls(artifact, **artifact.settings)

    @classmethod
    def read(cls) -> MLReader[Any]:
        """Spark ML's reader: `load(path)`."""
        return _Reader(cls)


class _Writer(MLWriter):
    def __init__(self, model: ScoringModel[Any]) -> None:
        super().__init__()
        self.model = model

    def save(self, path: str) -> None:
        artifact = self.model.artifact
        source = cache.keep(artifact.address, artifact.digest, artifact.files)
        with writing(
            path,
            kind=artifact.kind,
            overwrite=self.shouldOverwrite,
            settings=asdict(self.model.settings),
            labels=artifact.labels,
            columns=tuple(self.model.outputs()),
            metrics=artifact.metrics,
            training=artifact.training,
            limits=artifact.limits,
        ) as folder:
            for name in artifact.files:
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source / name, target)
        if self._sparkSession is not None:  # as a stage of a Pipeline, which finds its stages' classes by this
            DefaultParamsWriter.saveMetadata(self.model, path, self.sparkSession)


class _Reader(MLReader[Any]):
    def __init__(self, model: type[ScoringModel[Any]]) -> None:
        super().__init__()
        self.model = model

    def load(self, path: str) -> Any:
        return self.model.load(path)
