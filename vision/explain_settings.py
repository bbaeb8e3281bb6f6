"""The settings of what explains images. Knows neither torch nor Spark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pyarrow as pa

from brightspark.core.errors import SettingError
from brightspark.vision.settings import PictureSettings

EXPLANATION = pa.struct([("heat_map", pa.binary()), ("explained", pa.string())])


@dataclass(frozen=True, kw_only=True)
class ExplainSettings(PictureSettings):
    """How an ImageExplainer reads images, and what it draws."""

    precision: Annotated[str, "float32: gradients are taken in no other"] = "float32"
    label_col: Annotated[
        str | None, "column that names the label to explain; by default each picture's likeliest one is"
    ] = None
    overlay: Annotated[bool, "draw the heat over the picture; else alone, as grey values"] = True
    heat_map_col: Annotated[str, "column for the heat map, a PNG of the size that the network sees"] = "heat_map"
    explained_col: Annotated[str, "column for the label that the heat map explains"] = "explained"
    error_col: Annotated[str, "column for the reason why an image has no heat map"] = "explain_error"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.precision != "float32":
            raise SettingError(f"precision={self.precision!r}: gradients are taken in 'float32'")
        columns = (self.heat_map_col, self.explained_col, self.error_col)
        if len(set(columns)) < len(columns):
            raise SettingError(f"two answer columns have the same name: {', '.join(columns)}")
