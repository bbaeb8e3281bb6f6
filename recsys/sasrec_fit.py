"""From histories to the sequential model, by the training loop of all solutions. Knows no Spark."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from scipy.sparse import csr_matrix

from brightspark.recsys.histories import Histories, write_histories
from brightspark.recsys.part import check_matrix, check_memory
from brightspark.recsys.sasrec import Sasrec
from brightspark.recsys.sasrec_settings import SasrecSettings
from brightspark.recsys.towers_fit import LIBRARIES_BYTES, training_settings

BUILDER = "brightspark.recsys.sasrec_training:build"
INSTEAD = "Give it more by max_bytes where the machine has it, or set a smaller embedding_dim, max_length or batch_size"
STATES = 40  # numbers of each dimension that a block keeps for its gradient


def fit(matrix: csr_matrix, settings: SasrecSettings, places: csr_matrix) -> Sasrec:
    """Learns in this process; `places` are the interactions of the matrix with their places in a user's time, from 1.

    The same matrix, places and settings give the same model. Raises InputError where the matrix cannot be learned from,
    or would take more than `max_bytes`.
    """
    from safetensors.numpy import load_file

    from brightspark.core.launch import train
    from brightspark.core.run import WEIGHTS, Run

    check_matrix(matrix)
    users, items = matrix.shape
    needed = memory_bytes(users, items, matrix.nnz, settings)
    check_memory(f"SASRec of {items:,} items", needed, settings.max_bytes, INSTEAD)
    with tempfile.TemporaryDirectory(prefix="brightspark-sasrec-") as folder:
        histories = write_histories(matrix, Path(folder), max_history=settings.max_history, places=places)
        run = Run(
            folder=Path(folder) / "run",
            builder=BUILDER,
            facts=facts(histories, settings),
            training=histories.training,
            settings=training_settings(settings, histories.users),
        )
        try:
            train(None, run)
        finally:
            histories.forget()
        return Sasrec(load_file(run.folder / WEIGHTS), settings.heads)


def facts(histories: Histories, settings: SasrecSettings) -> dict[str, Any]:
    """What `brightspark.recsys.sasrec_training.build` must know."""
    names = ("embedding_dim", "blocks", "heads", "dropout", "full_softmax_items", "negatives")
    chosen = {name: getattr(settings, name) for name in names}
    return {"items": histories.items, "histories": histories.training, "length": settings.max_length, **chosen}


def memory_bytes(users: int, items: int, interactions: int, settings: SasrecSettings) -> int:
    """What `fit` needs beside the matrix: weights with their moments, and a step's states and scores."""
    targets = min(settings.batch_size, users) * settings.max_length
    drawn = items > settings.full_softmax_items
    candidates = 2 * settings.negatives if drawn else items
    weights = 4 * items * settings.embedding_dim
    step = 4 * targets * (STATES * settings.blocks * settings.embedding_dim + 4 * candidates)
    return LIBRARIES_BYTES + 6 * weights + step + 24 * interactions
