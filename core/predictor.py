"""What a solution tells the engine of its domain: a `Predictor`, a handful of functions that know nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from brightspark.core.feed import Room

if TYPE_CHECKING:
    import pyarrow as pa
    import torch

Record = Mapping[str, Any]
Piece = Any
Batch = Any
Answer = Any


class Opener(Protocol):
    """Opens paths: `brightspark.core.storage.Storage.open`, or what stands in for it."""

    def __call__(self, path: str, *, whole: bool = True) -> BinaryIO:
        """A file for reading bytes; `whole=False` for who reads parts of one that may be large."""


@dataclass(frozen=True)
class Work:
    """What the engine lends to `split`: a way to open paths, and room for what it decodes."""

    open: Opener
    room: Room


def one(piece: Piece) -> int:
    """The size of pieces that all cost the same."""
    return 1


def only(record: Record, answers: Sequence[Answer]) -> Answer:
    """The answer of a record that is a single piece."""
    (answer,) = answers
    return answer


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """A domain as functions: what the engine needs to know of images, texts, recordings or ratings.

    Every function may raise for a record that it cannot handle: that record gets the error, the others their answers.
    """

    columns: tuple[str, ...]
    """The columns of a record that cross into Python."""

    answer_type: pa.DataType
    """The Arrow type of an answer."""

    split: Callable[[Record, Work], Iterable[Piece]]
    """The pieces of a record, lazily: one image, the windows of a document. Runs in threads ahead of the model."""

    prepare: Callable[[Sequence[Piece]], Batch]
    """Collates pieces and moves them to the device. Runs on the feeding thread, while the model works."""

    predict: Callable[[Batch], Sequence[Answer]]
    """One call of the model, one answer a piece, in order; in inference mode and autocast."""

    join: Callable[[Record, Sequence[Answer]], Answer] = only
    """The answer of a record from those of its pieces, in their order."""

    size: Callable[[Piece], int] = one
    """What a piece costs the model (tokens, samples): a batch costs its largest piece × their number."""

    batch_cost: int = 32
    """The most that a batch may cost; a single piece may cost more."""

    window_batches: int = 8
    """Pieces are sorted by size within so many batches: the more, the less padding, and the longer until an answer.
    One batch where all sizes are equal. `Limits.waiting_bytes` bounds it too.
    """

    module: torch.nn.Module | None = None
    """The network, if there is one: the engine puts it into eval mode."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much the engine holds at a time, and on what it runs."""

    device: str = "cpu"
    precision: str = "auto"  # see brightspark.core.precision
    split_threads: int = 1
    waiting_bytes: int = 256 << 20  # decoded pieces in one window
    decoding_bytes: int = 512 << 20  # what `split` decodes at the same time, over all threads


@dataclass(frozen=True)
class Outcome:
    """What became of a record: its answer, or the reason why there is none."""

    answer: Answer = None
    error: str | None = None
