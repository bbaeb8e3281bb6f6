"""Learning to recommend on Spark: a pyspark.ml Estimator that makes a hybrid of collaborative and content parts."""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyspark.ml import Estimator
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from brightspark.core import cache
from brightspark.core.artifact import open_artifact, writing
from brightspark.core.errors import InputError, did_you_mean
from brightspark.core.estimator import fit_folder
from brightspark.core.params import Configured
from brightspark.core.persisted import persisted
from brightspark.core.transform import quoted
from brightspark.recsys.catalogue import Catalogue
from brightspark.recsys.columns import id_column, rating_column, time_column
from brightspark.recsys.encoding import Encoding
from brightspark.recsys.feature_matrix import read_features
from brightspark.recsys.features import encode, learn_encoding
from brightspark.recsys.feedback import count_interactions, interactions
from brightspark.recsys.fit_settings import FOLDS, HybridFitSettings
from brightspark.recsys.hybrid_training import Learned, learn_hybrid
from brightspark.recsys.matrix import read_matrix
from brightspark.recsys.model import KIND, HybridRecommenderModel
from brightspark.recsys.predictor import FEATURES
from brightspark.recsys.staged import StagedInteractions
from brightspark.recsys.staging import stage_interactions

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

SAID = (
    "user_col",
    "item_col",
    "prediction_col",
    "rank_col",
    "error_col",
    "candidates",
)  # settings that the model keeps

_log = logging.getLogger(__name__)


class HybridRecommender(
    Configured[HybridFitSettings], Estimator[Any], DefaultParamsReadable[Any], DefaultParamsWritable
):
    """Learns from who turned to what, and from what is known of the items: a recommender of several parts.

    Reads the columns `user_col`, `item_col`, `rating_col` and `timestamp_col` of a table of ratings or events, by the
    rules of `brightspark.recsys.interactions`. `items` is a table with a column `item` and whatever is known of items;
    those that nobody has turned to can be recommended too. It is no setting: an estimator that is saved has none.

    `fit` gives a `HybridRecommenderModel`. All parts are learned in this process from what Spark has staged, within
    `max_bytes`; see docs/recsys.md for what each takes, and how they are put together.

    >>> recommender = HybridRecommender(items=films, name_col="title")                          # doctest: +SKIP
    >>> model = recommender.fit(read_ratings(spark, "ratings.parquet"))                         # doctest: +SKIP
    >>> model.recommend(users, k=10).show()                                                     # doctest: +SKIP

    Settings are those of `brightspark.recsys.fit_settings.HybridFitSettings`.
    """

    Settings = HybridFitSettings

    watch: Callable[[str], None] = staticmethod(_log.info)
    """Hears what is going on; by default the log does."""

    def __init__(self, items: DataFrame | None = None, **settings: Any) -> None:
        self.items = items
        super().__init__(**settings)

    def _fit(self, dataset: DataFrame) -> HybridRecommenderModel:
        settings = self.settings
        rules = {"duplicates": settings.duplicates, "feedback": settings.feedback}
        encoding = None if self.items is None else learn_encoding(self.items)
        with persisted(_named(dataset, settings)) as ratings:
            counts = count_interactions(ratings, **rules)
            _log.info("%s", counts)
            with persisted(folded(interactions(ratings, **rules), settings.seed)) as rows:
                types = {f"{name}_type": rows.schema[name].dataType.simpleString() for name in ("user", "item")}
                with fit_folder(rows.sparkSession, settings.run_folder, _name(rows, settings)) as place:
                    self.watch("staging interactions and what is known of the items")
                    staged = self._staged(rows, f"{place}/interactions", encoding)
                    learned = learn_hybrid(staged, settings, read_features(staged), self.watch)
                    return self._model(staged, learned, encoding, counts.to_dict() | types)

    def _staged(self, rows: DataFrame, path: str, encoding: Encoding | None) -> StagedInteractions:
        features = None
        if self.items is not None and encoding is not None and encoding.names:
            features = encode(self.items, encoding)
        return stage_interactions(rows, path, items=self.items, features=features, overwrite=True)

    def _model(
        self, staged: StagedInteractions, learned: Learned, encoding: Encoding | None, found: dict[str, Any]
    ) -> HybridRecommenderModel:
        settings = self.settings
        said = {name: getattr(settings, name) for name in SAID}
        training = {
            **asdict(settings), **found, "weights": learned.hybrid.explained(), "seconds": learned.seconds,
            "left_out": learned.left_out, "features_left_out": dict(encoding.left_out) if encoding else {},
        }  # fmt: skip
        with tempfile.TemporaryDirectory(prefix="brightspark-") as folder:
            path = Path(folder) / "model"
            with writing(path, kind=KIND, settings=said, training=training, packages=("implicit", "numpy")) as made:
                learned.hybrid.save(made)
                self._catalogue(staged).save(made)
                if encoding is not None:
                    (made / FEATURES).write_text(json.dumps(encoding.names), encoding="utf-8")
            artifact = open_artifact(path, kind=KIND)
            kept = cache.keep(artifact.address, artifact.digest, artifact.files)
        return HybridRecommenderModel(replace(artifact, address=str(kept)), **said)

    def _catalogue(self, staged: StagedInteractions) -> Catalogue:
        histories = read_matrix(staged, binary=True, max_bytes=self.settings.max_bytes)
        users, items = (_ids(table, name) for table, name in ((staged.users, "user"), (staged.items, "item")))
        return Catalogue(users, items, self._names(items), histories)

    def _names(self, items: pa.Array) -> pa.Array | None:
        """What to call each item, in the order of the codes."""
        name = self.settings.name_col
        if name is None:
            return None
        if self.items is None:
            raise InputError(
                f"name_col={name!r} is a column of the items, and there are none: HybridRecommender(items=…)"
            )
        if name not in self.items.columns:
            raise InputError(f"the items have no column {name!r} (name_col); {did_you_mean(name, self.items.columns)}")
        item, called = id_column(self.items, "item", "item"), F.col(quoted(name))
        said = self.items.select(item.cast("string").alias("item"), called.cast("string").alias("name"))
        found = {row["item"]: row["name"] for row in said.collect()}
        return pa.array([found.get(str(one)) for one in items.to_pylist()], pa.string())


def folded(rows: DataFrame, seed: int) -> DataFrame:
    """Interactions with their `fold`, and their `place` in the user's time, from 1; 0 where there is no timestamp.

    Each item's fall into FOLDS by a hash of user and item, as evenly as can be. An item's only interaction is in none
    (-1): it would be unknown to the parts.
    """
    item = Window.partitionBy("item")
    chance = F.xxhash64(F.lit(seed), F.col("user").cast("string"), F.col("item").cast("string"))
    place = F.row_number().over(item.orderBy(chance, "user"))
    start = F.pmod(F.xxhash64(F.lit(seed), F.col("item").cast("string")), F.lit(FOLDS))
    fold = F.when(F.count(F.lit(1)).over(item) > 1, F.pmod(place + start, F.lit(FOLDS))).otherwise(-1)
    by_time = Window.partitionBy("user").orderBy(F.col("timestamp").asc_nulls_last())
    in_time = F.when(F.col("timestamp").isNotNull(), F.rank().over(by_time)).otherwise(0)
    return rows.withColumns({"fold": fold.cast("int"), "place": in_time.cast("int")})


def _named(dataset: DataFrame, settings: HybridFitSettings) -> DataFrame:
    columns = [
        id_column(dataset, settings.user_col, "user_col").alias("user"),
        id_column(dataset, settings.item_col, "item_col").alias("item"),
        F.lit(1.0).alias("rating")
        if settings.rating_col is None
        else rating_column(dataset, settings.rating_col, "rating_col").alias("rating"),
    ]
    moment = settings.timestamp_col or ("timestamp" if "timestamp" in dataset.columns else None)
    if moment is not None:
        columns.append(time_column(dataset, moment, "s", "timestamp_col").alias("timestamp"))
    return dataset.select(*columns)


def _name(rows: DataFrame, settings: HybridFitSettings) -> str:
    found = rows.agg(F.count(F.lit(1)), F.bit_xor(F.xxhash64("user", "item", "rating"))).collect()[0]
    kept = {name: value for name, value in asdict(settings).items() if name != "run_folder"}
    said = json.dumps({"rows": list(found), **kept}, sort_keys=True, default=str)
    return f"fit-{hashlib.sha256(said.encode()).hexdigest()[:12]}"


def _ids(shards: Any, name: str) -> pa.Array:
    """The ids in the order of their codes."""
    table = shards.table([name, "code"]).sort_by("code")
    return table.column(name).combine_chunks()
