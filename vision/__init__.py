"""Image classification and deep features on Spark, for any timm model.

from brightspark.core.session import session
from brightspark.vision import ImageClassifierModel, read_images

model = ImageClassifierModel.pretrained("resnet18.a1_in1k")
model.transform(read_images(session(), "s3://bucket/photographs")).write.parquet("s3://bucket/answers")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from brightspark.core.lazy import lazily

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
    "FeaturizerSettings": "brightspark.vision.settings",
    "ImageClassifier": "brightspark.vision.estimator",
    "ImageClassifierModel": "brightspark.vision.model",
    "ImageFeaturizer": "brightspark.vision.featurizer",
    "ImageFitSettings": "brightspark.vision.fit_settings",
    "ImageSettings": "brightspark.vision.settings",
    "evaluate": "brightspark.core.evaluation",
    "explain": "brightspark.vision.explanation",
    "read_dicom": "brightspark.vision.dicom_files",
    "read_images": "brightspark.vision.read",
    "read_video": "brightspark.vision.moments",
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

__getattr__ = lazily(__name__, _HOMES)
