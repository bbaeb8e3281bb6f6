"""Users and items as vectors, by implicit's ALS and BPR. Knows neither Spark nor torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from brightspark.core.errors import InputError, SettingError
from brightspark.recsys.part import UNKNOWN, Codes, Floats, check_matrix, check_memory, implicit_alone

HISTORY_BYTES = 28  # an interaction, at most, while Spark's histories are read
INSTEAD = "Give it more by max_bytes where the machine has it, or set fewer factors"
SHRINKING = 2  # items' worth of nothing, added to what an unknown user of BPR has: one item says little


@dataclass(frozen=True, kw_only=True)
class AlsSettings:
    """How ALS is learned."""

    factors: Annotated[int, "numbers of a vector"] = 64
    regularization: Annotated[float, "how strongly vectors are held small; more with a larger alpha"] = 10.0
    alpha: Annotated[float, "how much more an interaction weighs than the lack of one, times its value"] = 5.0
    iterations: Annotated[int, "each solves for all users and then for all items"] = 15
    threads: Annotated[int, "0 for as many as there are cores"] = 0
    seed: Annotated[int, "of the vectors that it starts from"] = 0
    max_bytes: Annotated[int, "memory that the trainer may take"] = 8 << 30

    def __post_init__(self) -> None:
        _check_als(self)


@dataclass(frozen=True, kw_only=True)
class SparkAlsSettings:
    """How Spark's ALS is learned."""

    factors: Annotated[int, "numbers of a vector"] = 64
    regularization: Annotated[float, "how strongly vectors are held small, times the interactions that they have"] = 0.1
    alpha: Annotated[float, "how much more an interaction weighs than the lack of one"] = 5.0
    iterations: Annotated[int, "each solves for all users and then for all items"] = 10
    blocks: Annotated[int, "into which users and items fall, each solved by a task"] = 10
    seed: Annotated[int, "of the vectors that it starts from"] = 0
    max_bytes: Annotated[int, "memory that reading the vectors may take in one process"] = 8 << 30

    def __post_init__(self) -> None:
        _check_als(self)
        if self.blocks < 1:
            raise SettingError(f"blocks={self.blocks} must be at least 1")


@dataclass(frozen=True, kw_only=True)
class BprSettings:
    """How BPR is learned."""

    factors: Annotated[int, "numbers of a vector"] = 64
    regularization: Annotated[float, "how strongly vectors are held small"] = 0.01
    learning_rate: Annotated[float, "of stochastic gradient descent"] = 0.01
    iterations: Annotated[int, "passes over the interactions, each beside an item drawn at random"] = 100
    threads: Annotated[int, "0 for as many as there are cores; with more than one no two trainings are the same"] = 1
    seed: Annotated[int, "of vectors and draws"] = 0
    max_bytes: Annotated[int, "memory that the trainer may take"] = 8 << 30

    def __post_init__(self) -> None:
        _check(self.factors, self.iterations)
        if self.regularization < 0 or self.learning_rate <= 0:
            raise SettingError(
                f"regularization={self.regularization}, learning_rate={self.learning_rate}: want ≥ 0 and > 0"
            )


@dataclass(frozen=True)
class Als:
    """Vectors by alternating least squares (Hu, Koren and Volinsky 2008, https://doi.org/10.1109/ICDM.2008.22)."""

    name: ClassVar[str] = "als"

    user_factors: Floats
    item_factors: Floats
    alpha: float
    regularization: float

    @property
    def items(self) -> int:
        """Of the catalogue."""
        return len(self.item_factors)

    def scores(self, histories: csr_matrix, users: Codes) -> Floats:
        """Products of vectors; an unknown user's is solved for from the history, as in training."""
        return _products(self.user_factors, self.item_factors, histories, users, self._folded_in)

    def _folded_in(self, histories: csr_matrix) -> Floats:
        with implicit_alone():
            return self._solved(histories, self.regularization)

    def _solved(self, histories: csr_matrix, regularization: float) -> Floats:
        self._solver.regularization = regularization
        found: Floats = self._solver.recalculate_user(np.arange(histories.shape[0]), histories)
        return found

    @cached_property
    def _solver(self) -> Any:
        """implicit's own; it keeps what it has computed of all items."""
        from implicit.cpu.als import AlternatingLeastSquares

        model = AlternatingLeastSquares(
            factors=self.item_factors.shape[1], regularization=self.regularization, alpha=self.alpha
        )
        model.item_factors = self.item_factors
        return model

    def tensors(self) -> dict[str, NDArray[Any]]:
        """All that was learned."""
        told = np.array([self.alpha, self.regularization])
        return {"user_factors": self.user_factors, "item_factors": self.item_factors, "alpha_regularization": told}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[Any]]) -> Self:
        """The part that gave them."""
        alpha, regularization = map(float, tensors["alpha_regularization"])
        return cls(tensors["user_factors"], tensors["item_factors"], alpha, regularization)


@dataclass(frozen=True)
class SparkAls(Als):
    """The same as `Als`, but for the regularization, which grows with a user's interactions (ALS-WR)."""

    name: ClassVar[str] = "spark_als"

    def _folded_in(self, histories: csr_matrix) -> Floats:
        sizes = np.diff(histories.indptr)
        found = np.zeros((histories.shape[0], self.item_factors.shape[1]), dtype=np.float32)
        with implicit_alone():
            for size in np.unique(sizes[sizes > 0]):
                found[sizes == size] = self._solved(histories[sizes == size], self.regularization * float(size))
        return found


def fit_als(matrix: csr_matrix, settings: AlsSettings) -> Als:
    """Learns vectors by implicit; the same matrix and settings give the same ones, with any number of threads.

    Raises InputError where the matrix cannot be learned from, or would take more than `max_bytes`; MissingExtraError
    without implicit.
    """
    _check_room("ALS", matrix, settings)
    with implicit_alone():
        from implicit.cpu.als import AlternatingLeastSquares

        model = AlternatingLeastSquares(
            factors=settings.factors,
            regularization=settings.regularization,
            alpha=settings.alpha,
            iterations=settings.iterations,
            num_threads=settings.threads,
            random_state=settings.seed,
        )
        model.fit(matrix, show_progress=False)
    return Als(model.user_factors, model.item_factors, settings.alpha, settings.regularization)


def fit_spark_als(matrix: csr_matrix, settings: SparkAlsSettings) -> SparkAls:
    """Raises InputError: no process learns it."""
    raise InputError("spark_als is learned by Spark, from what it has staged: HybridRecommender(parts=('spark_als',))")


def spark_als_bytes(users: int, items: int, interactions: int, settings: SparkAlsSettings) -> int:
    """What `brightspark.recsys.spark_als` needs in this process: vectors, twice while they are read, and histories."""
    return 8 * settings.factors * (users + items) + HISTORY_BYTES * interactions


@dataclass(frozen=True)
class Bpr:
    """Vectors by Bayesian personalised ranking (Rendle et al. 2009, https://arxiv.org/abs/1205.2618)."""

    name: ClassVar[str] = "bpr"

    user_factors: Floats
    """The last number is 1: it meets the item's own bias."""
    item_factors: Floats

    @property
    def items(self) -> int:
        """Of the catalogue."""
        return len(self.item_factors)

    def scores(self, histories: csr_matrix, users: Codes) -> Floats:
        """Products of vectors; an unknown user's is a mean of the vectors in the history, drawn towards 0."""
        return _products(self.user_factors, self.item_factors, histories, users, self._folded_in)

    def _folded_in(self, histories: csr_matrix) -> Floats:
        # BPR has no solution for a new user: this is a mean, drawn towards 0 where a history is short. How
        # good it is for cold users is not measured yet.
        total = histories.astype(bool).astype(np.float32) @ self.item_factors
        vectors: Floats = total / (np.diff(histories.indptr)[:, None] + SHRINKING).astype(np.float32)
        vectors[:, -1] = 1
        return vectors

    def tensors(self) -> dict[str, NDArray[Any]]:
        """All that was learned."""
        return {"user_factors": self.user_factors, "item_factors": self.item_factors}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[Any]]) -> Self:
        """The part that gave them."""
        return cls(tensors["user_factors"], tensors["item_factors"])


def fit_bpr(matrix: csr_matrix, settings: BprSettings) -> Bpr:
    """Learns vectors by implicit; on one thread the same matrix and settings give the same ones.

    How much an interaction counts makes no difference to BPR.

    Raises InputError where the matrix cannot be learned from, or would take more than `max_bytes`; MissingExtraError
    without implicit.
    """
    _check_room("BPR", matrix, settings)
    with implicit_alone():
        from implicit.cpu.bpr import BayesianPersonalizedRanking

        model = BayesianPersonalizedRanking(
            factors=settings.factors,
            learning_rate=settings.learning_rate,
            regularization=settings.regularization,
            iterations=settings.iterations,
            num_threads=settings.threads,
            random_state=settings.seed,
        )
        model.fit(matrix, show_progress=False)
    return Bpr(model.user_factors, model.item_factors)


def memory_bytes(users: int, items: int, interactions: int, settings: AlsSettings | BprSettings) -> int:
    """What either `fit` needs beside the matrix: the vectors, and the matrix scaled and by items."""
    return 4 * (users + items) * (settings.factors + 1) + 28 * interactions


def _products(
    user_factors: Floats,
    item_factors: Floats,
    histories: csr_matrix,
    users: Codes,
    fold_in: Callable[[csr_matrix], Floats],
) -> Floats:
    """The products of users' and items' vectors; `fold_in` makes those of unknown users from their histories."""
    unknown = users == UNKNOWN
    vectors = user_factors[np.where(unknown, 0, users)]
    if unknown.any():
        vectors[unknown] = fold_in(histories[unknown])
    found: Floats = vectors @ item_factors.T
    return found


def _check_als(settings: AlsSettings | SparkAlsSettings) -> None:
    _check(settings.factors, settings.iterations)
    if settings.regularization < 0 or settings.alpha <= 0:
        raise SettingError(f"regularization={settings.regularization}, alpha={settings.alpha}: want ≥ 0 and > 0")


def _check(factors: int, iterations: int) -> None:
    if factors < 1 or iterations < 1:
        raise SettingError(f"factors={factors}, iterations={iterations} must both be at least 1")


def _check_room(what: str, matrix: csr_matrix, settings: AlsSettings | BprSettings) -> None:
    check_matrix(matrix)
    users, items = matrix.shape
    what = f"{what} of {users:,} users and {items:,} items with {settings.factors:,} factors"
    check_memory(what, memory_bytes(users, items, matrix.nnz, settings), settings.max_bytes, INSTEAD)
