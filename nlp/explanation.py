"""Why a text was classified as it was, on Spark: a weight for each token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from brightspark.core.classifier import check_explained
from brightspark.core.model import ScoringModel
from brightspark.core.worker import local_folder
from brightspark.nlp.columns import check_text_column
from brightspark.nlp.explain_settings import EXPLANATION, ExplainSettings
from brightspark.nlp.settings import WindowSettings

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

    from brightspark.nlp.model import TextClassifierModel

KIND = "text-explainer"


def explain(model: TextClassifierModel, df: DataFrame, **settings: Any) -> DataFrame:
    """The same rows and columns, and what each token adds to a label's score: integrated gradients.

    Reads the texts, and the label to explain in `label_col` ("prediction": what `model.transform` answered). Adds

    - `tokens`: array<struct<start: int, end: int, weight: float>>, the characters from `start` to before `end` of the
      text, and what they add to the network's output for the label (take away, if below 0), against the same text
      with padding in their place;
    - `explained`: string, the label;
    - `explain_error`: string, why a text has no weights, else null; no row is dropped.

    Other settings are those of `brightspark.nlp.explain_settings.ExplainSettings`.

    Raises ArtifactError, before any job, for a tokenizer that does not say where its tokens lie; InputError for a
    column that is missing, or exists already.

        explain(model, model.transform(read_texts(spark, "reviews.parquet")))

    Sundararajan et al. 2017, https://arxiv.org/abs/1703.01365
    """
    return TextExplainer.of(model, **settings).transform(df)


class TextExplainer(ScoringModel[ExplainSettings]):
    """Weighs the tokens of texts for the answers of a TextClassifierModel; `explain` is its `transform`.

    Settings are those of `brightspark.nlp.explain_settings.ExplainSettings`.
    """

    kind = KIND
    loader = "brightspark.nlp.explain_predictor:load"
    Settings = ExplainSettings

    @classmethod
    def of(cls, model: TextClassifierModel, **settings: Any) -> TextExplainer:
        """An explainer for a classifier, which reads texts as that one does.

        Raises ArtifactError for a tokenizer that does not say where its tokens lie.
        """
        from brightspark.core.checkpoint_network import load_tokenizer
        from brightspark.nlp.tokens import check_spans

        check_spans(load_tokenizer(local_folder(model.artifact)))
        reading = {declared.name: getattr(model.settings, declared.name) for declared in fields(WindowSettings)}
        reading |= {"pooling": model.settings.pooling, "label_col": model.settings.prediction_col}
        return cls(replace(model.artifact, kind=KIND, settings={}, metrics={}), **{**reading, **settings})

    def input_columns(self, df: DataFrame) -> tuple[str, ...]:
        """The columns of texts and of labels."""
        check_text_column(df, self.settings.text_col)
        check_explained(df, self.settings.label_col)
        return (self.settings.text_col, self.settings.label_col)

    def answer_type(self) -> pa.StructType:
        """Tokens and weights, and the label that they explain."""
        return EXPLANATION

    def outputs(self) -> Mapping[str, str]:
        """The columns named by the settings."""
        return {
            self.settings.tokens_col: "answer.tokens",
            self.settings.explained_col: "answer.explained",
            self.settings.error_col: "error",
        }
