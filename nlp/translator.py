"""Translation on Spark: a pyspark.ml Model over any sequence-to-sequence checkpoint of transformers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from brightspark.core.artifact import Artifact
from brightspark.core.checkpoint import describe_checkpoint, find_checkpoint
from brightspark.core.model import ScoringModel
from brightspark.nlp.columns import check_text_column
from brightspark.nlp.translation_settings import TranslationSettings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

KIND = "translator"


class TranslatorModel(ScoringModel[TranslationSettings]):
    """Translates texts, by any checkpoint that transformers loads as a sequence-to-sequence network.

    Reads a column of texts. One of more than `max_tokens` is split at its sentences, and the translations are joined.
    `transform` keeps every row and column and adds

    - `translation`: string,
    - `score`: float, the mean log-probability of its tokens, at most 0: the lower, the less sure,
    - what `cut_col` names, if it does: boolean, whether `max_new_tokens` cut the translation, or that of a part,
    - `error`: string, why a text has no translation (null, empty, too long), else null; it keeps its row.

    The translations are those of transformers' `generate` with the same settings. Settings are those of
    `brightspark.nlp.translation_settings.TranslationSettings`.
    """

    kind = KIND
    loader = "brightspark.nlp.translate:load"
    Settings = TranslationSettings

    @classmethod
    def pretrained(cls, name: str, **settings: Any) -> TranslatorModel:
        """A model with ready-made weights.

        `name` is a repository of the Hugging Face hub (`Helsinki-NLP/opus-mt-en-de`), a local folder as transformers
        has it, or an artifact's folder or URI. Marian, NLLB, M2M100, mBART and T5 are told their languages, each in
        its own way, by `source_language` and `target_language`.

        Raises ArtifactError where there are no safetensors in it, or no translator; SettingError for languages that it
        does not know; InputError for a name that nobody knows.
        """
        found = find_checkpoint(name, kind=KIND)
        artifact = translator_artifact(found) if isinstance(found, Path) else found
        model = cls(artifact, **{**artifact.settings, **settings})
        _try_languages(Path(artifact.address), model.settings)
        return model

    def input_columns(self, df: DataFrame) -> tuple[str, ...]:
        """The column of texts."""
        check_text_column(df, self.settings.text_col)
        return (self.settings.text_col,)

    def answer_type(self) -> pa.StructType:
        """A translation, its score, and whether it was cut."""
        from brightspark.nlp.translate import ANSWER

        return ANSWER

    def outputs(self) -> Mapping[str, str]:
        """The columns named by the settings."""
        named = self.settings
        outputs = {named.translation_col: "answer.translation", named.score_col: "answer.score"}
        if named.cut_col:
            outputs[named.cut_col] = "answer.cut"
        outputs[named.error_col] = "error"
        return outputs

    def counted(self) -> Mapping[str, str]:
        """Translations that `max_new_tokens` cut."""
        return {"cut": "answer.cut"}


def translator_artifact(folder: Path) -> Artifact:
    """An artifact over a folder with a translator as transformers has it.

    Raises ArtifactError where a file is missing or the weights do not fit; pickled weights are not opened.
    """
    from brightspark.nlp.network import load_translator

    described = describe_checkpoint(folder, kind=KIND, solution="nlp")
    load_translator(folder)  # what cannot work is found out here, not by every worker
    return described


def _try_languages(folder: Path, settings: TranslationSettings) -> None:
    """Raises SettingError for languages that a local checkpoint does not know; workers tell it of one elsewhere."""
    from brightspark.core.checkpoint_network import load_config, load_tokenizer
    from brightspark.nlp.languages import direct

    if folder.is_dir():
        kind = load_config(folder).model_type
        direct(load_tokenizer(folder), kind, settings.source_language, settings.target_language)
