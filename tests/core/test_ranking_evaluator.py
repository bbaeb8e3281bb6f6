"""The evaluator's numbers are those that the ranking metrics give of the lists behind the places."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from brightspark.core.errors import InputError, SettingError
from brightspark.core.ranking_evaluator import METRICS, RankingEvaluator
from brightspark.core.ranking_metrics import ranking
from tests.core.test_ranking_metrics import random_data

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.mark.parametrize("metric", METRICS)
def test_places_alone_give_the_metrics_of_the_lists(spark: SparkSession, metric: str) -> None:
    data = random_data(seed=3)
    lists, test, _ = data.frames(spark)
    placed = test.join(lists, ["user", "item"], "left")
    wanted = getattr(ranking(lists, test, k=7, catalogue=data.items).overall[7], metric)
    assert RankingEvaluator(metric, k=7).evaluate(placed) == pytest.approx(wanted, abs=1e-9)


def test_what_cannot_be_measured_is_refused(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(1, 2)], "user long, rank int")
    with pytest.raises(InputError, match="no column 'place'"):
        RankingEvaluator(rank_col="place").evaluate(rows)
    with pytest.raises(InputError, match="no rows"):
        RankingEvaluator().evaluate(rows.limit(0))
    with pytest.raises(SettingError, match="metric='ndgc' is not known"):
        RankingEvaluator("ndgc")
    with pytest.raises(SettingError, match="k=0"):
        RankingEvaluator(k=0)
