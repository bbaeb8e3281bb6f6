"""How two towers are learned. Knows neither torch nor Spark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from brightspark.core.errors import SettingError
from brightspark.core.training_settings import TrainingSettings


@dataclass(frozen=True, kw_only=True)
class TowersSettings(TrainingSettings):
    """What two towers can be told: themselves, and how they train. A row, of which a batch has many, is a user."""

    embedding_dim: Annotated[int, "numbers of a user's and an item's vector"] = 128
    dropout: Annotated[float, "of the user's vector; less for more data"] = 0.7
    id_dropout: Annotated[
        float, "share of the items, drawn at each step, that are known by their features alone: so features learn to"
    ] = 0.2
    target_share: Annotated[float, "share of a user's items, drawn at each step, that the others must foretell"] = 0.3
    max_history: Annotated[int, "items of a user that are learned from; of more, so many are drawn"] = 1_000
    full_softmax_items: Annotated[int, "rated items up to which each step compares with all of them"] = 20_000
    negatives: Annotated[
        int, "with more of them: items drawn evenly at each step, and as many of the batch's targets, to compare with"
    ] = 2_000
    validation_share: Annotated[
        float, "share of the users, by their hash, who take no part in training, to pick the best epoch on"
    ] = 0.0
    max_bytes: Annotated[int, "memory that each rank may take"] = 8 << 30
    epochs: Annotated[int, "how often each user is seen"] = 60
    learning_rate: Annotated[float | None, "the highest rate, reached after the warm-up"] = 3e-3
    weight_decay: Annotated[float, "of vectors and weights; biases have none"] = 0.3
    precision: Annotated[str, "float32, bfloat16, float16, or auto; a softmax over so many wants all its digits"] = (
        "float32"
    )
    loader_workers: Annotated[int, "processes a rank that draw ahead of the model"] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("embedding_dim", "negatives"):
            if getattr(self, name) < 1:
                raise SettingError(f"{name}={getattr(self, name)} must be at least 1")
        if self.max_history < 2 or self.full_softmax_items < 0:
            raise SettingError(
                f"max_history={self.max_history}, full_softmax_items={self.full_softmax_items}: want at least 2 and 0"
            )
        for name in ("dropout", "id_dropout", "target_share", "validation_share"):
            if not 0 <= getattr(self, name) < 1:
                raise SettingError(f"{name}={getattr(self, name)} is a share: from 0 to below 1")
