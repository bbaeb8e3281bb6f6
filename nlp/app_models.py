"""The models of the app's tab on texts, whichever a name stands for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from brightspark.core.checkpoint import find_checkpoint
from brightspark.core.checkpoint_network import load_config
from brightspark.core.cli import sample_or_path
from brightspark.core.errors import ArtifactError
from brightspark.nlp import model, translator
from brightspark.nlp.model import TextClassifierModel, text_artifact
from brightspark.nlp.translator import TranslatorModel, translator_artifact

TOP_K = 8

# An artifact brings the columns of the tables that it was made for; the tab has its own.
OWN_LABELS: dict[str, Any] = {
    "top_k": TOP_K, "text_col": "text", "prediction_col": "prediction", "probability_col": "probability",
    "error_col": "error", "top_col": "top", "prediction_index_col": None, "probability_vector_col": None,
}  # fmt: skip
OWN_TRANSLATION: dict[str, Any] = {
    "text_col": "text", "translation_col": "translation", "score_col": "score", "cut_col": None,
    "error_col": "error",
}  # fmt: skip


def open_model(name: str) -> TextClassifierModel | TranslatorModel:
    """A classifier or a translator, whichever an artifact, a folder or a hub's name holds.

    Raises ArtifactError for what is neither, or damaged; InputError for a name that nobody knows.
    """
    found = find_checkpoint(sample_or_path(name))
    if isinstance(found, Path):
        found = translator_artifact(found) if translates(load_config(found)) else text_artifact(found)
    if found.kind == model.KIND:
        return TextClassifierModel(found, **{**found.settings, **OWN_LABELS})
    if found.kind == translator.KIND:
        return TranslatorModel(found, **{**found.settings, **OWN_TRANSLATION})
    raise ArtifactError(
        f"{name} is a {found.kind!r}; this tab takes a {model.KIND!r} or a {translator.KIND!r}, or a folder or hub "
        "name of either"
    )


def translates(config: Any) -> bool:
    """Whether a network of transformers writes texts from texts; some classifiers have a decoder too (BART, T5)."""
    named = config.architectures or ()
    return bool(config.is_encoder_decoder) and not any(name.endswith("ForSequenceClassification") for name in named)
