"""Text classification, sentence vectors and translation on Spark, for any Hugging Face checkpoint.

from brightspark.core.session import session
from brightspark.nlp import TextClassifierModel, read_texts

model = TextClassifierModel.pretrained("cardiffnlp/twitter-roberta-base-sentiment-latest")
model.transform(read_texts(session(), "s3://bucket/tweets.parquet")).write.parquet("s3://bucket/answers")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from brightspark.core.lazy import lazily

if TYPE_CHECKING:
    from brightspark.core.evaluation import evaluate
    from brightspark.nlp.embedder import TextEmbedder
    from brightspark.nlp.estimator import TextClassifier
    from brightspark.nlp.explain_settings import ExplainSettings
    from brightspark.nlp.explanation import TextExplainer, explain
    from brightspark.nlp.fit_settings import TextFitSettings
    from brightspark.nlp.model import TextClassifierModel
    from brightspark.nlp.read import read_texts
    from brightspark.nlp.settings import EmbedderSettings, TextSettings, ZeroShotSettings
    from brightspark.nlp.translation_fit_settings import TranslationFitSettings
    from brightspark.nlp.translation_settings import TranslationSettings
    from brightspark.nlp.translator import TranslatorModel
    from brightspark.nlp.translator_estimator import Translator
    from brightspark.nlp.zero_shot_model import ZeroShotClassifierModel

_HOMES = {
    "EmbedderSettings": "brightspark.nlp.settings",
    "ExplainSettings": "brightspark.nlp.explain_settings",
    "TextClassifier": "brightspark.nlp.estimator",
    "TextClassifierModel": "brightspark.nlp.model",
    "TextEmbedder": "brightspark.nlp.embedder",
    "TextExplainer": "brightspark.nlp.explanation",
    "TextFitSettings": "brightspark.nlp.fit_settings",
    "TextSettings": "brightspark.nlp.settings",
    "TranslationFitSettings": "brightspark.nlp.translation_fit_settings",
    "TranslationSettings": "brightspark.nlp.translation_settings",
    "Translator": "brightspark.nlp.translator_estimator",
    "TranslatorModel": "brightspark.nlp.translator",
    "ZeroShotClassifierModel": "brightspark.nlp.zero_shot_model",
    "ZeroShotSettings": "brightspark.nlp.settings",
    "evaluate": "brightspark.core.evaluation",
    "explain": "brightspark.nlp.explanation",
    "read_texts": "brightspark.nlp.read",
}

__all__ = [
    "EmbedderSettings",
    "ExplainSettings",
    "TextClassifier",
    "TextClassifierModel",
    "TextEmbedder",
    "TextExplainer",
    "TextFitSettings",
    "TextSettings",
    "TranslationFitSettings",
    "TranslationSettings",
    "Translator",
    "TranslatorModel",
    "ZeroShotClassifierModel",
    "ZeroShotSettings",
    "evaluate",
    "explain",
    "read_texts",
]

__getattr__ = lazily(__name__, _HOMES)
