"""What every model can be told about what it opens and how it runs; solutions add their own. Knows no Spark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from brightspark.core.errors import SettingError
from brightspark.core.precision import check_precision
from brightspark.core.storage import MAX_FILE_BYTES, SCHEMES, Storage


@dataclass(frozen=True, kw_only=True)
class StorageSettings:
    """What everything that opens files can be told about them."""

    schemes: Annotated[tuple[str, ...], "storage schemes that workers may open; http and https only if named"] = tuple(
        sorted(SCHEMES)
    )
    base: Annotated[str | None, "a folder that every path must be in"] = None
    max_file_bytes: Annotated[int, "a larger file is an error"] = MAX_FILE_BYTES
    storage_options: Annotated[Mapping[str, Any], "options of fsspec's file system; never credentials"] = field(
        default_factory=dict
    )

    def __post_init__(self) -> None:
        if self.max_file_bytes < 1:
            raise SettingError(f"max_file_bytes={self.max_file_bytes} must be at least 1")
        _ = self.storage  # checks the rest

    @property
    def storage(self) -> Storage:
        """Which paths workers may open, and how."""
        return Storage(
            schemes=frozenset(self.schemes),
            base=self.base,
            max_bytes=self.max_file_bytes,
            options=self.storage_options,
        )


@dataclass(frozen=True, kw_only=True)
class ScoringSettings(StorageSettings):
    """What every model can be told about how it runs."""

    batch_size: Annotated[int, "the most that a batch may cost the model, in the model's own units"] = 32
    precision: Annotated[
        str, "float32, bfloat16, float16, or auto: bfloat16 where the processor is fast at it, else float32"
    ] = "auto"
    device: Annotated[str, "cpu, cuda, cuda:1…, or auto: the GPU of the task if it has one"] = "auto"
    threads: Annotated[int, "threads of the model in each task; 0 for as many as the task has CPUs"] = 0
    split_threads: Annotated[int, "threads that read and decode ahead of the model; 0 chooses by CPUs and GPUs"] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_precision(self.precision)
        if self.batch_size < 1:
            raise SettingError(f"batch_size={self.batch_size} must be at least 1")
        for name in ("threads", "split_threads"):
            if getattr(self, name) < 0:
                raise SettingError(f"{name}={getattr(self, name)} must not be negative")
