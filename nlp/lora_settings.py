"""Low-rank adaptation (LoRA): what fine-tuning can be told of it. Knows neither torch nor Spark."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated

from brightspark.core.errors import SettingError

ALL_LINEAR = "all-linear"  # in place of layers' names

LORA_RATE = 1e-3  # the learning rate with a `lora_rank`, where none is set


@dataclass(frozen=True, kw_only=True)
class LoraSettings:
    """Whether a whole network learns, or small matrices beside its own (Hu et al. 2021, arXiv:2106.09685)."""

    lora_rank: Annotated[
        int | None, "rank of small matrices that learn beside the network's own, which stay; by default all learns"
    ] = None
    lora_alpha: Annotated[float, "the product of such matrices counts as much as this divided by lora_rank"] = 16.0
    lora_dropout: Annotated[float, "dropout of what goes into such matrices"] = 0.0
    lora_targets: Annotated[
        tuple[str, ...] | None,
        "layers that get such matrices, by the end of their names, or all-linear; by default those that peft knows for "
        "the architecture, of another one all linear layers",
    ] = None


NAMES = tuple(declared.name for declared in fields(LoraSettings))


def check_lora(settings: LoraSettings) -> None:
    """Raises SettingError for adapters that cannot be, and for what is said of them where there are none."""
    rank = settings.lora_rank
    if rank is None:
        for declared in fields(LoraSettings):
            if getattr(settings, declared.name) != declared.default:
                raise SettingError(
                    f"{declared.name}={getattr(settings, declared.name)!r} is of adapters, and there are none: set "
                    "lora_rank (8 is usual)"
                )
        return
    if rank < 1:
        raise SettingError(f"lora_rank={rank} must be at least 1, or None for the whole network")
    if not settings.lora_alpha > 0:
        raise SettingError(f"lora_alpha={settings.lora_alpha} must be above 0")
    if not 0 <= settings.lora_dropout < 1:
        raise SettingError(f"lora_dropout={settings.lora_dropout} is a share: from 0 to below 1")
    if settings.lora_targets is not None and not all(settings.lora_targets):
        raise SettingError(f"lora_targets={settings.lora_targets!r} must name layers, or be None")
    if settings.lora_targets == ():
        raise SettingError("lora_targets is empty: name layers, or None for those that are usual")
