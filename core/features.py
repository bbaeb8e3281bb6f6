"""Deep features for Spark ML's learners: computed once per fit, however often the learner reads its rows.

Spark ML's learners pass over their input many times, and in a plain `Pipeline` every pass runs the network again.
`FeaturePipeline` runs it once for each row, keeps the vectors while the learner is fitted, and gives a `PipelineModel`:

    from pyspark.ml import Pipeline
    from pyspark.ml.classification import LogisticRegression
    from pyspark.ml.feature import StringIndexer

    from brightspark import samples
    from brightspark.core.features import FeaturePipeline
    from brightspark.core.named_answers import NamedAnswers
    from brightspark.core.session import session
    from brightspark.vision import ImageFeaturizer, evaluate, read_images

    rows = read_images(session(), str(samples.dermoscopy()))  # path, …, label: the folder's name
    train, test = rows.randomSplit([0.7, 0.3], seed=0)
    names = StringIndexer(inputCol="label", outputCol="index").fit(rows)
    learner = Pipeline(stages=[names, LogisticRegression(labelCol="index"), NamedAnswers(names.labels)])
    featurizer = ImageFeaturizer.pretrained(str(samples.model("efficientnet-lite0")))
    model = FeaturePipeline(featurizer, learner).fit(train)
    print(evaluate(model.transform(test)))

A row that the featurizer could not read takes no part in fit; `transform` keeps it, with its `error` and nulls for all
that the learner's model adds.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any, cast

from pyspark.ml import Estimator, Model, Pipeline, PipelineModel
from pyspark.ml.functions import array_to_vector
from pyspark.ml.pipeline import PipelineReader
from pyspark.sql import Column
from pyspark.sql import functions as F

from brightspark.core.errors import InputError, SettingError
from brightspark.core.failed_rows import ClearFailed, FillFailed
from brightspark.core.learner import check_columns
from brightspark.core.persisted import persisted
from brightspark.core.transform import quoted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

REASONS_SHOWN = 3
# A task over so many bytes of vectors takes a learner a few milliseconds, about as long as Spark takes to start it.
PARTITION_BYTES = 8 << 20

_log = logging.getLogger(__name__)


class FeaturePipeline(Pipeline):
    """A Pipeline of a featurizer and a learner whose `fit` runs the featurizer once for each row.

    `featurizer` is a Model with the settings `features_col` and `error_col`, such as `ImageFeaturizer`. `learner` is
    any Estimator that reads the features: one of Spark ML's, a `Pipeline` of them, a `CrossValidator` over one.

    `fit` returns a `PipelineModel` of four stages: the featurizer, `FillFailed`, the learner's fitted model and
    `ClearFailed`; the two others keep rows without features away from the model, which would fail on them. While the
    learner is fitted, the rows are persisted (MEMORY_AND_DISK) with all their columns but the binary ones. Rows that
    fail are left out, counted, and logged as a warning; where every row fails, InputError is raised.

    To search the learner's settings, put the `CrossValidator` inside, as the learner: outside, it computes the
    features for each of its fits. What reads the training rows after `fit`, such as a Spark model's `summary`,
    computes them again.
    """

    def __init__(self, featurizer: Model, learner: Estimator[Any]) -> None:
        super().__init__(stages=[*_checked(featurizer, learner)])

    def _fit(self, dataset: DataFrame) -> PipelineModel:
        featurizer, learner = _checked(*self.getStages())
        settings = cast(Any, featurizer).settings
        features, error = settings.features_col, settings.error_col
        featurized = _without_binary(featurizer.transform(dataset))
        check_columns(learner, {field.name: field.dataType.typeName() for field in featurized.schema})
        with persisted(featurized) as rows:
            count = _count_usable(rows, error)
            usable = rows.filter(F.col(quoted(features)).isNotNull())
            first = usable.select(quoted(features)).first()
            assert first is not None, "some row has features"
            fill = FillFailed(features_col=features, size=first[0].size)
            # As the model will see rows later, though here it fills nothing.
            learnable = fill.transform(usable).coalesce(_partitions(count, first[0].size))
            model = learner.fit(learnable)
            added = [name for name in model.transform(learnable).columns if name not in learnable.columns]
        clear = ClearFailed(error_col=error, answer_cols=[features, *added])
        return PipelineModel([featurizer, fill, model, clear])

    @classmethod
    def read(cls) -> PipelineReader:
        """Spark ML's reader: `load(path)`."""
        return _Reader(cls)


class _Reader(PipelineReader):
    def load(self, path: str) -> FeaturePipeline:
        read = super().load(path)
        return FeaturePipeline(*cast(Any, read.getStages()))._resetUid(read.uid)


def to_vector(array: str) -> Column:
    """A column of numbers in an array as a Spark ML dense vector; null where the array is null."""
    # array_to_vector fails on null.
    return F.when(F.col(array).isNotNull(), array_to_vector(F.col(array)))


def _checked(featurizer: Any, learner: Any) -> tuple[Model, Estimator[Any]]:
    """Both stages; raises SettingError where one is not what its place needs."""
    settings = getattr(featurizer, "settings", None)
    if not isinstance(featurizer, Model) or not hasattr(settings, "features_col") or not hasattr(settings, "error_col"):
        raise SettingError(
            f"{featurizer!r} is no featurizer: a Model with the settings features_col and error_col, such as "
            "ImageFeaturizer.pretrained(…)"
        )
    if not isinstance(learner, Estimator):
        raise SettingError(f"{learner!r} has no fit; give an Estimator, such as LogisticRegression(labelCol=…)")
    return featurizer, learner


def _without_binary(df: DataFrame) -> DataFrame:
    """The columns that a learner can use: images in bytes would fill the memory that the features are to have."""
    return df.drop(*[field.name for field in df.schema if field.dataType.typeName() == "binary"])


def _partitions(rows: int, size: int) -> int:
    """The most partitions that are worth their tasks: learners pass over them dozens of times."""
    return max(1, math.ceil(rows * size * 8 / PARTITION_BYTES))  # Spark's vectors hold doubles of 8 bytes


def _count_usable(rows: DataFrame, error: str) -> int:
    """How many rows have features; logs how many failed, and why. Raises InputError where there is none.

    The first action on the rows: it computes the features.
    """
    reason = F.col(quoted(error))
    counted = rows.agg(F.count("*").alias("rows"), F.count(reason).alias("failed")).first()
    assert counted is not None
    total, failed = int(counted["rows"]), int(counted["failed"])
    if total == 0:
        raise InputError("the table has no rows: there is nothing to learn from")
    if failed == 0:
        return total
    reasons = rows.filter(reason.isNotNull()).groupBy(reason.alias("reason")).count()
    commonest = reasons.orderBy(F.desc("count"), "reason").limit(REASONS_SHOWN).collect()
    listed = "; ".join(f"{row['count']:,} × {row['reason']}" for row in commonest)
    if failed == total:
        raise InputError(f"none of the {total:,} rows has features. The commonest reasons: {listed}")
    _log.warning("%s of %s rows have no features and are left out of fit: %s", f"{failed:,}", f"{total:,}", listed)
    return total - failed
