"""Text classification and sentence vectors on Spark, for any Hugging Face checkpoint.

from brightspark.core.session import session
from brightspark.nlp import TextClassifierModel, read_texts

model = TextClassifierModel.pretrained("cardiffnlp/twitter-roberta-base-sentiment-latest")
model.transform(read_texts(session(), "s3://bucket/tweets.parquet")).write.parquet("s3://bucket/answers")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from brightspark.core.evaluation import evaluate
    from brightspark.nlp.embedder import TextEmbedder
    from brightspark.nlp.estimator import TextClassifier
    from brightspark.nlp.fit_settings import TextFitSettings
    from brightspark.nlp.model import TextClassifierModel
    from brightspark.nlp.read import read_texts
    from brightspark.nlp.settings import EmbedderSettings, TextSettings

_HOMES = {
    "EmbedderSettings": ("brightspark.nlp.settings", "EmbedderSettings"),
    "TextClassifier": ("brightspark.nlp.estimator", "TextClassifier"),
    "TextClassifierModel": ("brightspark.nlp.model", "TextClassifierModel"),
    "TextEmbedder": ("brightspark.nlp.embedder", "TextEmbedder"),
    "TextFitSettings": ("brightspark.nlp.fit_settings", "TextFitSettings"),
    "TextSettings": ("brightspark.nlp.settings", "TextSettings"),
    "evaluate": ("brightspark.core.evaluation", "evaluate"),
    "read_texts": ("brightspark.nlp.read", "read_texts"),
}

__all__ = [
    "EmbedderSettings",
    "TextClassifier",
    "TextClassifierModel",
    "TextEmbedder",
    "TextFitSettings",
    "TextSettings",
    "evaluate",
    "read_texts",
]


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first used: `import brightspark.nlp` alone loads no torch and no Spark."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(importlib.import_module(module), attribute)
