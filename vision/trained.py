"""What a training of images leaves: a model with the trained weights."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from brightspark.core.estimator import Fit
from brightspark.core.run import WEIGHTS
from brightspark.core.trained import trained_classifier
from brightspark.vision.fit_settings import ImageFitSettings
from brightspark.vision.model import ImageClassifierModel, timm_artifact
from brightspark.vision.settings import ReadingSettings
from brightspark.vision.start import write_trained


def trained_model(fit: Fit, start: Path, settings: ImageFitSettings) -> ImageClassifierModel:
    """The model with a training's weights; what it was measured by stands in its artifact."""
    folder = fit.place / "model"
    write_trained(start, fit.run / WEIGHTS, folder)
    return trained_classifier(
        ImageClassifierModel,
        fit,
        timm_artifact(folder),
        settings,
        reading={declared.name: getattr(settings, declared.name) for declared in fields(ReadingSettings)},
        staged={"input_col": "content", "max_pixels": settings.max_pixels},
    )
