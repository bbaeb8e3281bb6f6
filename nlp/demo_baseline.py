"""What the demo's classifiers of texts are compared with: Spark ML on counted words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from brightspark.core.classification_blocks import accuracy_interval
from brightspark.core.metrics import compare
from brightspark.core.report import Block, Note, Table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from brightspark.core.classification_report import ClassificationReport

NAME = "TF-IDF and logistic regression"
TERMS = 1 << 16  # buckets of words


def with_baseline(train: DataFrame, answered: DataFrame, labels: Sequence[str]) -> DataFrame:
    """The answers of a logistic regression on words weighed by TF-IDF, as the column `other`.

    Reads `text` and, of `train`, `label`.
    """
    from pyspark.ml import Pipeline
    from pyspark.ml.classification import LogisticRegression
    from pyspark.ml.feature import IDF, HashingTF, RegexTokenizer, StringIndexerModel

    names = StringIndexerModel.from_labels(list(labels), inputCol="label", outputCol="__index")
    stages: list[Any] = [
        RegexTokenizer(inputCol="text", outputCol="__words", pattern=r"[^\p{L}\p{N}']+"),
        HashingTF(inputCol="__words", outputCol="__counts", numFeatures=TERMS),
        IDF(inputCol="__counts", outputCol="__weighed", minDocFreq=2),
        LogisticRegression(
            featuresCol="__weighed", labelCol="__index", predictionCol="__prediction", probabilityCol="__probability",
            rawPredictionCol="__raw", regParam=0.01, maxIter=50,
        ),
    ]  # fmt: skip
    fitted = Pipeline(stages=stages).fit(names.transform(train).select("text", "__index"))
    known = F.array(*[F.lit(name) for name in labels])
    told = fitted.transform(answered).withColumn("other", known[F.col("__prediction").cast("int")])
    return told.select(*answered.columns, "other")


def comparison_blocks(
    scored: DataFrame, ways: Mapping[str, ClassificationReport], baseline: ClassificationReport
) -> list[Block]:
    """Each way beside the baseline in a table, and how the answers in `prediction` differ from those in `other`."""
    rows = [
        (way, accuracy_interval(report), round(report.accuracy or 0, 3), round(report.macro_f1 or 0, 3))
        for way, report in {**ways, NAME: baseline}.items()
    ]
    columns = ("way", "% right, 95 % interval", "accuracy", "macro F1")
    found = compare(scored.drop("probability"), "prediction", "other")
    low, high = found.intervals["accuracy"]
    told = "cannot be told from chance" if low <= 0 <= high else "is no chance"
    return [
        Table(columns, rows, caption="A simpler way on the same split: Spark ML on counted words."),
        Note(
            f"On the same texts the difference of {100 * (found.accuracy_difference or 0):+.1f} points (95 % "
            f"interval {100 * low:+.1f} to {100 * high:+.1f}) {told}."
        ),
    ]
