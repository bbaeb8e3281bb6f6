"""Classification by labels that are only named, on Spark: a pyspark.ml Model over a network of language inference."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brightspark.core.checkpoint import find_checkpoint
from brightspark.core.classifier import ClassifierModel
from brightspark.nlp.columns import check_text_column
from brightspark.nlp.settings import ZeroShotSettings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

KIND = "zero-shot-classifier"


class ZeroShotClassifierModel(ClassifierModel[ZeroShotSettings]):
    """Classifies texts by labels that nobody trained it for: how far does the text entail "This example is {label}."?

    Reads what a `TextClassifierModel` reads and adds the same columns; `probability` is in the order of the setting
    `candidate_labels`. The network runs once for each label, so ten labels cost ten times as much as one; of a text
    longer than the network's window the beginning counts. With `multi_label` each label is true or not by itself.

    Settings are those of `brightspark.nlp.settings.ZeroShotSettings`.
    """

    kind = KIND
    loader = "brightspark.nlp.zero_shot:load"
    Settings = ZeroShotSettings

    @classmethod
    def pretrained(cls, name: str, **settings: Any) -> ZeroShotClassifierModel:
        """A model with the weights of a network for natural language inference.

        `name` is a repository of the Hugging Face hub (`MoritzLaurer/deberta-v3-base-zeroshot-v2.0`), a local folder
        as transformers has it, or an artifact's folder or URI.

        Raises ArtifactError where there are no safetensors in it, or its labels are not entailment and contradiction;
        SettingError without `candidate_labels`; InputError for a name that nobody knows.
        """
        from brightspark.core.checkpoint_network import load_config
        from brightspark.nlp.model import text_artifact
        from brightspark.nlp.zero_shot import outputs_of

        found = find_checkpoint(name, kind=KIND)
        if isinstance(found, Path):
            artifact = replace(text_artifact(found), kind=KIND, labels=(), settings={})
            outputs_of(load_config(found))
        else:
            artifact = found
        return cls(artifact, **{**artifact.settings, **settings})

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that the settings name."""
        return self.settings.candidate_labels

    def input_columns(self, df: DataFrame) -> tuple[str, ...]:
        """The column of texts."""
        check_text_column(df, self.settings.text_col)
        return (self.settings.text_col,)
