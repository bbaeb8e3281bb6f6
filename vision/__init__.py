"""Image classification and deep features on Spark, for any timm model.

from brightspark.core.session import session
from brightspark.vision import ImageClassifierModel, read_images

model = ImageClassifierModel.pretrained("resnet18.a1_in1k")
model.transform(read_images(session(), "s3://bucket/photographs")).write.parquet("s3://bucket/answers")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from brightspark.core.evaluation import evaluate
    from brightspark.vision.dicom_files import read_dicom
    from brightspark.vision.estimator import ImageClassifier
    from brightspark.vision.explanation import explain
    from brightspark.vision.featurizer import ImageFeaturizer
    from brightspark.vision.fit_settings import ImageFitSettings
    from brightspark.vision.model import ImageClassifierModel
    from brightspark.vision.moments import read_video
    from brightspark.vision.read import read_images
    from brightspark.vision.settings import FeaturizerSettings, ImageSettings

_HOMES = {
    "FeaturizerSettings": ("brightspark.vision.settings", "FeaturizerSettings"),
    "ImageClassifier": ("brightspark.vision.estimator", "ImageClassifier"),
    "ImageClassifierModel": ("brightspark.vision.model", "ImageClassifierModel"),
    "ImageFeaturizer": ("brightspark.vision.featurizer", "ImageFeaturizer"),
    "ImageFitSettings": ("brightspark.vision.fit_settings", "ImageFitSettings"),
    "ImageSettings": ("brightspark.vision.settings", "ImageSettings"),
    "evaluate": ("brightspark.core.evaluation", "evaluate"),
    "explain": ("brightspark.vision.explanation", "explain"),
    "read_dicom": ("brightspark.vision.dicom_files", "read_dicom"),
    "read_images": ("brightspark.vision.read", "read_images"),
    "read_video": ("brightspark.vision.moments", "read_video"),
}

__all__ = [
    "FeaturizerSettings",
    "ImageClassifier",
    "ImageClassifierModel",
    "ImageFeaturizer",
    "ImageFitSettings",
    "ImageSettings",
    "evaluate",
    "explain",
    "read_dicom",
    "read_images",
    "read_video",
]


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first used: `import brightspark.vision` alone loads no torch and no Spark."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(importlib.import_module(module), attribute)
