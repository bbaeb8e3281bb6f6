"""From histories to two towers, by the training loop of all solutions. Knows no Spark beyond passing a session on."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scipy.sparse import csr_matrix

from brightspark.core.shards import Shards
from brightspark.core.training_settings import TrainingSettings
from brightspark.recsys.feature_matrix import features_of
from brightspark.recsys.histories import Histories, write_histories
from brightspark.recsys.part import Floats, check_matrix, check_memory
from brightspark.recsys.towers import Towers
from brightspark.recsys.towers_settings import TowersSettings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

BUILDER = "brightspark.recsys.towers_training:build"
LIBRARIES_BYTES = 256 << 20  # what torch and the loop take for themselves
INSTEAD = "Give it more by max_bytes where the machine has it, or set a smaller embedding_dim or batch_size"


def fit(matrix: csr_matrix, settings: TowersSettings, features: Floats | None = None) -> Towers:
    """Learns two towers in this process from users × items, and what is known of the items (items × features).

    How much an interaction counts makes no difference. The same matrix, features and settings give the same towers.

    Raises InputError where the matrix cannot be learned from, or would take more than `max_bytes`.
    """
    check_matrix(matrix)
    users, items = matrix.shape
    width = 0 if features is None else features.shape[1]
    needed = memory_bytes(users, items, matrix.nnz, settings) + 12 * items * width
    check_memory(f"two towers of {items:,} items", needed, settings.max_bytes, INSTEAD)
    with tempfile.TemporaryDirectory(prefix="brightspark-towers-") as folder:
        histories = write_histories(
            matrix,
            Path(folder),
            features=features,
            max_history=settings.max_history,
            validation_share=settings.validation_share,
            seed=settings.seed,
        )
        try:
            return train_towers(None, histories, str(Path(folder) / "run"), settings)
        finally:
            histories.forget()


def train_towers(
    spark: SparkSession | None,
    histories: Histories,
    folder: str,
    settings: TowersSettings,
    *,
    say: Callable[[Mapping[str, Any]], None] | None = None,
) -> Towers:
    """Learns two towers from staged histories, in a folder that all ranks see; the same call goes on after a death.

    `say` gets each line of the training's journal. Raises what `brightspark.core.launch.train` does.
    """
    from safetensors.numpy import load_file

    from brightspark.core.launch import train
    from brightspark.core.run import WEIGHTS, Run

    todo = Run(
        folder=Path(folder),
        builder=BUILDER,
        facts=facts(histories, settings),
        training=histories.training,
        validation=histories.validation,
        settings=training_settings(settings, histories.users),
    )
    train(spark, todo, say=say)
    features = None
    if histories.features is not None:
        features = features_of(Shards.open(histories.features), histories.items, max_bytes=settings.max_bytes)
    return Towers.from_weights(load_file(Path(folder) / WEIGHTS), features)


def facts(histories: Histories, settings: TowersSettings) -> dict[str, Any]:
    """What `brightspark.recsys.towers_training.build` must know."""
    names = (
        "embedding_dim", "dropout", "id_dropout", "target_share", "full_softmax_items", "negatives", "max_bytes"
    )  # fmt: skip
    chosen = {name: getattr(settings, name) for name in names}
    return {"items": histories.items, "histories": histories.training, "features": histories.features, **chosen}


def training_settings(settings: TrainingSettings, users: int) -> TrainingSettings:
    """Those of all trainings; a batch of more users than there are would show some of them twice."""
    own = {declared.name: getattr(settings, declared.name) for declared in fields(TrainingSettings)}
    return replace(TrainingSettings(**own), batch_size=min(settings.batch_size, users))


def memory_bytes(users: int, items: int, interactions: int, settings: TowersSettings) -> int:
    """What `fit` needs beside the matrix and the features: weights with their moments, and a step's scores."""
    dim, batch = settings.embedding_dim, min(settings.batch_size, users)
    drawn = items > settings.full_softmax_items
    candidates = 2 * settings.negatives if drawn else items
    targets = batch * min(settings.max_history, items) * settings.target_share
    weights = 4 * 2 * items * dim  # two embeddings of each item
    step = 4 * (6 * batch * candidates + 3 * candidates * dim + 3 * int(targets) * dim)
    return LIBRARIES_BYTES + 6 * weights + step + 24 * interactions
