"""How the sequential model is learned. Knows neither torch nor Spark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from brightspark.core.errors import SettingError
from brightspark.core.training_settings import TrainingSettings


@dataclass(frozen=True, kw_only=True)
class SasrecSettings(TrainingSettings):
    """What SASRec can be told: itself, and how it trains. A row, of which a batch has many, is a user."""

    embedding_dim: Annotated[int, "numbers of an item's vector, and of all that is between the layers"] = 64
    blocks: Annotated[int, "of self-attention"] = 2
    heads: Annotated[int, "of each block; a divisor of embedding_dim"] = 2
    dropout: Annotated[float, "within the blocks; less for more data"] = 0.3
    max_length: Annotated[int, "latest items of a user that foretell the next one"] = 100
    max_history: Annotated[int, "latest items of a user that are learned from, in windows of max_length"] = 1_000
    full_softmax_items: Annotated[int, "rated items up to which each step compares with all of them"] = 2_000
    negatives: Annotated[
        int, "with more of them: items drawn evenly at each step, and as many of the batch's targets, to compare with"
    ] = 1_000
    max_bytes: Annotated[int, "memory that each rank may take"] = 8 << 30
    epochs: Annotated[int, "how often each user is seen"] = 60
    batch_size: Annotated[int, "users of a step"] = 32
    learning_rate: Annotated[float | None, "the highest rate, reached after the warm-up"] = 2e-3
    weight_decay: Annotated[float, "of vectors and weights; biases have none"] = 0.1
    precision: Annotated[str, "float32, bfloat16, float16, or auto; a softmax over so many wants all its digits"] = (
        "float32"
    )
    loader_workers: Annotated[int, "processes a rank that draw ahead of the model"] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("embedding_dim", "blocks", "heads", "negatives"):
            if getattr(self, name) < 1:
                raise SettingError(f"{name}={getattr(self, name)} must be at least 1")
        if self.embedding_dim % self.heads:
            raise SettingError(f"heads={self.heads} must divide embedding_dim={self.embedding_dim}")
        if self.max_length < 1 or self.max_history < 2 or self.full_softmax_items < 0:
            raise SettingError(
                f"max_length={self.max_length}, max_history={self.max_history}, full_softmax_items="
                f"{self.full_softmax_items}: want at least 1, 2 and 0"
            )
        if not 0 <= self.dropout < 1:
            raise SettingError(f"dropout={self.dropout} is a share: from 0 to below 1")
