"""A `pyspark.ml` Evaluator over rows with the place that a recommender gives their item, for CrossValidator."""

from __future__ import annotations

from typing import Any

from pyspark.ml.evaluation import Evaluator
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from brightspark.core.errors import InputError, SettingError, did_you_mean
from brightspark.core.ranking_lists import LONGEST, scores
from brightspark.core.ranking_report import METRICS
from brightspark.core.transform import quoted


class RankingEvaluator(Evaluator, DefaultParamsReadable[Any], DefaultParamsWritable):
    """The mean over users of a metric at k, by where a recommender places the items that they turned to.

    Reads rows that were held out, one for each relevant item of a user: `user_col` and `rank_col`, its place on the
    user's list over the full catalogue (from 1), null where it is not on it. No list is made: the places are enough.
    The metrics are those of `brightspark.core.ranking_lists.scores`, and the default is nDCG at 10.

    >>> RankingEvaluator("recall", k=50).isLargerBetter()
    True
    """

    metric: Param[str] = Param(Params._dummy(), "metric", "the number to return", TypeConverters.toString)
    k: Param[int] = Param(Params._dummy(), "k", "places of a list that count", TypeConverters.toInt)
    user_col: Param[str] = Param(Params._dummy(), "user_col", "column of users", TypeConverters.toString)
    rank_col: Param[str] = Param(Params._dummy(), "rank_col", "column of places", TypeConverters.toString)

    def __init__(self, metric: str = "ndcg", k: int = 10, *, user_col: str = "user", rank_col: str = "rank") -> None:
        super().__init__()
        if metric not in METRICS:
            raise SettingError(f"metric={metric!r} is not known; {did_you_mean(metric, METRICS)}")
        if not 1 <= k <= LONGEST:
            raise SettingError(f"k={k} must be from 1 to {LONGEST:,}")
        self._set(metric=metric, k=k, user_col=user_col, rank_col=rank_col)

    def isLargerBetter(self) -> bool:  # noqa: N802, the name is pyspark's
        """Always: each of them is better the larger it is."""
        return True

    def _evaluate(self, dataset: DataFrame) -> float:
        """The metric; raises InputError for a column that is missing, and where there are no rows."""
        k = self.getOrDefault(self.k)
        user, rank = (self.getOrDefault(param) for param in (self.user_col, self.rank_col))
        for name in (user, rank):
            if name not in dataset.columns:
                raise InputError(f"the table has no column {name!r}; {did_you_mean(name, dataset.columns)}")
        place = F.col(quoted(rank))
        users = dataset.groupBy(quoted(user)).agg(
            F.count(F.lit(1)).cast("int").alias("relevant"),
            F.array_sort(F.collect_list(F.when(place <= k, place))).alias("hits"),
        )
        of_user = scores(F.col("hits"), F.col("relevant"), k)[self.getOrDefault(self.metric)]
        value: float | None = users.agg(F.avg(of_user)).collect()[0][0]
        if value is None:
            raise InputError("there are no rows to measure")
        return value
