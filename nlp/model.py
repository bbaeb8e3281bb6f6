"""Text classification on Spark: a pyspark.ml Model over any sequence classifier of transformers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brightspark.core.artifact import Artifact
from brightspark.core.checkpoint import describe_checkpoint, find_checkpoint
from brightspark.core.classifier import ClassifierModel
from brightspark.nlp.columns import check_text_column
from brightspark.nlp.settings import TextSettings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

KIND = "text-classifier"


class TextClassifierModel(ClassifierModel[TextSettings]):
    """Classifies texts, by any checkpoint that transformers loads as a sequence classifier.

    Reads a column of texts. One that is longer than the network's window is cut into windows that overlap, each
    classified, and their answers pooled. `transform` keeps every row and column and adds

    - `prediction`: string, the likeliest label's name; null where `min_confidence` is set and not reached; with
      `multi_label` array<string>, all labels that apply,
    - `probability`: array<float>, in the order of `labels`,
    - `error`: string, why a text has no answer (null, empty, too long), else null; it keeps its row,
    - `top`: array<struct<label, probability>>, the `top_k` likeliest, where `top_k` is set.

    Settings are those of `brightspark.nlp.settings.TextSettings`.
    """

    kind = KIND
    loader = "brightspark.nlp.predictor:load"
    Settings = TextSettings

    @classmethod
    def pretrained(cls, name: str, **settings: Any) -> TextClassifierModel:
        """A model with ready-made weights.

        `name` is a repository of the Hugging Face hub (`distilbert/distilbert-base-uncased-finetuned-sst-2-english`),
        a local folder as transformers has it (config.json, safetensors, tokenizer), or an artifact's folder or URI. A
        hub's name is resolved here, once; workers never ask a hub. `multi_label` is what config.json says.

        Raises ArtifactError where there are no safetensors in it, no classifier, or a tokenizer that cuts no windows;
        InputError for a name that nobody knows.
        """
        from brightspark.core.checkpoint_network import load_tokenizer
        from brightspark.nlp.tokens import check_cuts

        found = find_checkpoint(name, kind=KIND)
        if isinstance(found, Path):
            artifact = text_artifact(found)
            check_cuts(load_tokenizer(found))
        else:
            artifact = found
        return cls(artifact, **{**artifact.settings, **settings})

    def input_columns(self, df: DataFrame) -> tuple[str, ...]:
        """The column of texts."""
        check_text_column(df, self.settings.text_col)
        return (self.settings.text_col,)


def text_artifact(folder: Path) -> Artifact:
    """An artifact over a folder with a sequence classifier as transformers has it.

    Raises ArtifactError where a file is missing or the weights do not fit; pickled weights are not opened.
    """
    from brightspark.core.checkpoint_network import load_tokenizer
    from brightspark.nlp.network import load_classifier, read_labels

    described = describe_checkpoint(folder, kind=KIND, solution="nlp")
    config = load_classifier(folder).config  # what cannot work is found out here, not by every worker
    load_tokenizer(folder)
    several = config.problem_type == "multi_label_classification"
    return replace(described, labels=read_labels(config), settings={"multi_label": True} if several else {})
