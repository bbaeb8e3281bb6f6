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
import pyarrow.compute as pc
from pyspark.ml import Estimator
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from brightspark.core import cache
from brightspark.core.artifact import open_artifact, writing
from brightspark.core.errors import InputError, did_you_mean
from brightspark.core.estimator import fit_folder
from brightspark.core.manifest import read_manifest
from brightspark.core.params import Configured
from brightspark.core.persisted import persisted
from brightspark.core.shards import Shards
from brightspark.core.stage import stage
from brightspark.core.transform import quoted
from brightspark.recsys.catalogue import Catalogue
from brightspark.recsys.columns import id_column, rating_column, time_column
from brightspark.recsys.encoding import Encoding
from brightspark.recsys.feature_matrix import read_features
from brightspark.recsys.features import encode, learn_encoding
from brightspark.recsys.feedback import count_merged, merged
from brightspark.recsys.fit_settings import FOLDS, SPARK_ALS, HybridFitSettings
from brightspark.recsys.hybrid_training import Learned, learn_hybrid, outgrows
from brightspark.recsys.likeness import write_index
from brightspark.recsys.model import KIND, HybridRecommenderModel
from brightspark.recsys.predictor import FEATURES
from brightspark.recsys.spark_als import learn_by_spark
from brightspark.recsys.staged import INTERACTIONS, StagedInteractions
from brightspark.recsys.staging import stage_interactions

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from scipy.sparse import csr_matrix

# Settings that the model keeps.
SAID = ("user_col", "item_col", "prediction_col", "rank_col", "error_col", "candidates")

_log = logging.getLogger(__name__)


class HybridRecommender(
    Configured[HybridFitSettings], Estimator[Any], DefaultParamsReadable[Any], DefaultParamsWritable
):
    """Learns from who turned to what, and from what is known of the items: a recommender of several parts.

    Reads the columns `user_col`, `item_col`, `rating_col` and `timestamp_col` of a table of ratings or events, by the
    rules of `brightspark.recsys.interactions`. `items` is a table with a column `item` and whatever is known of items;
    those that nobody has turned to can be recommended too. It is no setting: an estimator that is saved has none.

    `fit` gives a `HybridRecommenderModel`. All parts are learned in this process from what Spark has staged, within
    `max_bytes`, or where that is too much by Spark's ALS alone; see docs/recsys.md for what each takes, and how they
    are put together.

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
        names = self._names()
        encoding = None
        if self.items is not None:  # what an item is called tells nothing of it
            encoding = learn_encoding(self.items.drop(settings.name_col or ""))
        with persisted(merged(_named(dataset, settings), **rules)) as pairs:
            counts = count_merged(pairs)
            _log.info("%s", counts)
            rows = pairs.filter("counts").select("user", "item", "rating", "timestamp")
            types = {f"{name}_type": rows.schema[name].dataType.simpleString() for name in ("user", "item")}
            with fit_folder(rows.sparkSession, settings.run_folder, self._name(rows)) as place:
                self.watch("staging interactions and what is known of the items")
                timed = counts.without_timestamp < counts.interactions
                rows = folded(rows, settings.seed, folds=len(settings.parts or ()) != 1, timed=timed)
                staged = self._staged(rows, f"{place}/interactions", encoding)
                called = None if names is None else _staged_names(names, f"{place}/names")
                learned = self._learned(rows.sparkSession, staged, place)
                return self._model(staged, called, learned, encoding, counts.to_dict() | types)

    def _learned(self, spark: SparkSession, staged: StagedInteractions, place: Path) -> Learned:
        settings = self.settings
        outgrown = outgrows(staged, settings)
        if outgrown is not None:
            self.watch(f"learning by Spark's ALS: {outgrown}")
            return learn_by_spark(spark, staged, settings, f"{place}/{SPARK_ALS}", outgrown)
        kept = place / "parts" if settings.run_folder else None  # else nobody comes back
        return learn_hybrid(staged, settings, read_features(staged), self.watch, kept)

    def _name(self, rows: DataFrame) -> str:
        """Names a fit: equal for the same rows, items and settings. Without a run_folder nobody asks for it again."""
        settings = self.settings
        if settings.run_folder is None:
            return "fit-recommender"
        kept = {name: value for name, value in asdict(settings).items() if name != "run_folder"}
        tables = [rows] if self.items is None else [rows, self.items]
        said = json.dumps({"tables": list(map(_fingerprint, tables)), **kept}, sort_keys=True, default=str)
        return f"fit-{hashlib.sha256(said.encode()).hexdigest()[:12]}"

    def _staged(self, rows: DataFrame, path: str, encoding: Encoding | None) -> StagedInteractions:
        """The interactions and the items' features; those of a fit that was killed later are there already."""
        if read_manifest(f"{path}/{INTERACTIONS}") is not None:
            return StagedInteractions.open(path)
        features = None
        if self.items is not None and encoding is not None and encoding.names:
            features = encode(self.items, encoding)
        return stage_interactions(rows, path, items=self.items, features=features, overwrite=True)

    def _names(self) -> DataFrame | None:
        """`item` and `name`, where the items have names."""
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
        return self.items.select(item.alias("item"), called.cast("string").alias("name"))

    def _model(
        self,
        staged: StagedInteractions,
        names: Shards | None,
        learned: Learned,
        encoding: Encoding | None,
        found: dict[str, Any],
    ) -> HybridRecommenderModel:
        settings = self.settings
        said = {name: getattr(settings, name) for name in SAID}
        counted = {name: found[name] for name in ("interactions", "users", "items")}
        training = {
            **asdict(settings), **found, "weights": learned.hybrid.explained(), "seconds": learned.seconds,
            "left_out": learned.left_out, "features_left_out": dict(encoding.left_out) if encoding else {},
        }  # fmt: skip
        with tempfile.TemporaryDirectory(prefix="brightspark-") as folder:
            path = Path(folder) / "model"
            with writing(
                path, kind=KIND, settings=said, metrics=counted, training=training, packages=("implicit", "numpy")
            ) as made:
                learned.hybrid.save(made)
                write_index(learned.hybrid.parts, made, settings.max_bytes, self.watch)
                _catalogue(staged, names, learned.histories).save(made)
                if encoding is not None:
                    (made / FEATURES).write_text(json.dumps(encoding.names), encoding="utf-8")
            artifact = open_artifact(path, kind=KIND)
            kept = cache.keep(artifact.address, artifact.digest, artifact.files)
        return HybridRecommenderModel(replace(artifact, address=str(kept)), **said)


def folded(rows: DataFrame, seed: int, *, folds: bool = True, timed: bool = True) -> DataFrame:
    """Interactions with their `fold`, and their `place` in the user's time, from 1; 0 where there is no timestamp.

    Each item's fall into FOLDS by a hash of user and item, as evenly as can be. An item's only interaction is in none
    (-1): it would be unknown to the parts. Without `folds` all are in none, and where they are not `timed` no place is
    looked for: each of the two sorts all rows.
    """
    item = Window.partitionBy("item")
    chance = F.xxhash64(F.lit(seed), F.col("user").cast("string"), F.col("item").cast("string"))
    place = F.row_number().over(item.orderBy(chance, "user"))
    start = F.pmod(F.xxhash64(F.lit(seed), F.col("item").cast("string")), F.lit(FOLDS))
    fold = F.when(F.count(F.lit(1)).over(item) > 1, F.pmod(place + start, F.lit(FOLDS))).otherwise(-1)
    by_time = Window.partitionBy("user").orderBy(F.col("timestamp").asc_nulls_last())
    in_time = F.when(F.col("timestamp").isNotNull(), F.rank().over(by_time)).otherwise(0)
    found = {"fold": fold if folds else F.lit(-1), "place": in_time if timed else F.lit(0)}
    return rows.withColumns({name: of.cast("int") for name, of in found.items()})


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


def _fingerprint(table: DataFrame) -> list[Any]:
    """Equal for the same rows, in whatever order."""
    row = F.xxhash64(F.to_json(F.struct("*")))
    return list(table.agg(F.count(F.lit(1)), F.bit_xor(row)).collect()[0])


def _staged_names(names: DataFrame, path: str) -> Shards:
    found = read_manifest(path)
    return Shards(stage(names, path) if found is None else found)


def _catalogue(staged: StagedInteractions, names: Shards | None, histories: csr_matrix) -> Catalogue:
    users, items = (_ids(table, name) for table, name in ((staged.users, "user"), (staged.items, "item")))
    if names is None:
        return Catalogue(users, items, None, histories)
    said = names.table(["item", "name"])
    places = pc.index_in(items, value_set=said.column("item").combine_chunks())
    return Catalogue(users, items, said.column("name").combine_chunks().take(places), histories)


def _ids(shards: Shards, name: str) -> pa.Array:
    """The ids in the order of their codes."""
    table = shards.table([name, "code"]).sort_by("code")
    return table.column(name).combine_chunks()
