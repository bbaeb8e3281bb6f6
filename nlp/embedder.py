"""Sentence vectors on Spark: a pyspark.ml Model that adds them for Spark ML's own learners."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from brightspark.core.artifact import Artifact
from brightspark.core.checkpoint import describe_checkpoint, find_checkpoint
from brightspark.core.featurizer import FeaturizerModel, of_classifier
from brightspark.nlp import model as classifier
from brightspark.nlp.columns import check_text_column
from brightspark.nlp.settings import EmbedderSettings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

KIND = "text-embedder"


class TextEmbedder(FeaturizerModel[EmbedderSettings]):
    """Turns texts into vectors by any encoder of transformers: the mean over the tokens, scaled to length 1.

    Reads what a `TextClassifierModel` reads; a long text's vector is the mean of its windows', weighted by their
    tokens. `transform` keeps every row and column and adds

    - `features`: a dense Spark ML vector,
    - `error`: string, why a text has no vector, else null; it keeps its row.

    Spark ML's learners read their rows many times: `brightspark.core.features.FeaturePipeline` computes the vectors
    once. Settings are those of `brightspark.nlp.settings.EmbedderSettings`.
    """

    kind = KIND
    loader = "brightspark.nlp.predictor:load_vectors"
    Settings = EmbedderSettings

    @classmethod
    def pretrained(cls, name: str, **settings: Any) -> TextEmbedder:
        """An embedder with ready-made weights.

        `name` is what `TextClassifierModel.pretrained` takes; of a classifier the encoder is used. Models of
        sentence-transformers that pool by the mean give the same vectors here.

        Raises ArtifactError where there are no safetensors in it; InputError for a name that nobody knows.
        """
        found = find_checkpoint(name)
        if isinstance(found, Path):
            artifact = _described(found)
        else:
            artifact = of_classifier(
                found, kind=KIND, classifier=classifier.KIND, settings=EmbedderSettings, inputs="texts"
            )
        return cls(artifact, **{**artifact.settings, **settings})

    def input_columns(self, df: DataFrame) -> tuple[str, ...]:
        """The column of texts."""
        check_text_column(df, self.settings.text_col)
        return (self.settings.text_col,)


def _described(folder: Path) -> Artifact:
    from brightspark.core.checkpoint_network import load_tokenizer
    from brightspark.nlp.network import load_encoder
    from brightspark.nlp.tokens import check_cuts

    described = describe_checkpoint(folder, kind=KIND, solution="nlp")
    load_encoder(folder)  # what cannot work is found out here, not by every worker
    check_cuts(load_tokenizer(folder))
    return described
