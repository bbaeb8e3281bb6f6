"""Fine-tuning texts on Spark: a pyspark.ml Estimator over any encoder of transformers."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from brightspark.core.estimator import Fit, TrainingEstimator, classifier_facts
from brightspark.core.run import WEIGHTS
from brightspark.core.survey import label_names
from brightspark.core.trained import trained_classifier
from brightspark.core.transform import quoted
from brightspark.nlp.columns import check_text_column, text_error
from brightspark.nlp.fit_settings import TextFitSettings, usual_rate
from brightspark.nlp.lora_settings import NAMES
from brightspark.nlp.settings import WindowSettings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from brightspark.nlp.model import TextClassifierModel

START = "network"  # the folder of the network that training starts with
SAID = ("training_tokens", "max_chars", "dropout", "group_by_length", *NAMES)  # settings that the builder must know


class TextClassifier(TrainingEstimator[TextFitSettings]):
    """Fine-tunes any encoder of transformers on a DataFrame of texts and labels, on as many ranks as `ranks` says.

    Reads the columns `text_col` and `label_col`: a label each, or an array of labels where several may be true. Rows
    without a label take no part, texts that are null or empty neither, up to `max_error_rate`.

    `fit` returns a `TextClassifierModel` with the weights of the best epoch on the validation rows, and the
    temperature that makes its confidence true there. Its `artifact` holds metrics, settings and what names the data.

    >>> classifier = TextClassifier("microsoft/MiniLM-L12-H384-uncased", epochs=3)      # doctest: +SKIP
    >>> model = classifier.fit(read_texts(spark, "tweets.parquet"))                     # doctest: +SKIP

    Settings are those of `brightspark.nlp.fit_settings.TextFitSettings`.
    """

    builder = "brightspark.nlp.training:build"
    Settings = TextFitSettings

    def __init__(self, checkpoint: str = "", **settings: Any) -> None:
        super().__init__(**{"checkpoint": checkpoint, **settings})

    def key(self, df: DataFrame) -> tuple[str, ...]:
        """The column of texts: equal texts never stand on both sides."""
        check_text_column(df, self.settings.text_col)
        return (self.settings.text_col,)

    def truth_col(self) -> str:
        """The column of labels."""
        return self.settings.label_col

    def origin(self) -> str:
        """The digest of the weights that training starts with."""
        from brightspark.nlp.start import origin

        return origin(self.settings)

    def facts(self, fit: Fit) -> dict[str, Any]:
        """`brightspark.nlp.training.Facts`; writes the network that training starts with."""
        from brightspark.nlp.start import write_start

        settings, found = self.settings, fit.survey
        write_start(fit.place / START, settings, found.labels, multi_label=found.multi_label)
        return {
            **classifier_facts(fit.place / START, found, settings),
            **{name: getattr(settings, name) for name in SAID},
        }

    def chosen(self, fit: Fit) -> dict[str, Any]:
        """The learning rate."""
        from brightspark.core.checkpoint_network import load_config

        settings = self.settings
        if settings.learning_rate is not None:
            return {}
        width = getattr(load_config(fit.place / START), "hidden_size", None)
        return {"learning_rate": usual_rate(width, settings.lora_rank)}

    def rows(self, df: DataFrame, fit: Fit) -> DataFrame:
        """`text`, `length` (characters), `label`, its name or names, and `error`: no row crosses into Python."""
        names = label_names(df, self.settings.label_col)
        text = F.col(quoted(self.settings.text_col)).cast("string")
        error = text_error(text, self.settings.max_chars)
        label = names if fit.survey.multi_label else names[0]
        length = F.char_length(text)
        return df.select(text.alias("text"), length.alias("length"), label.alias("label"), error.alias("error"))

    def model(self, fit: Fit) -> TextClassifierModel:
        """The trained network in place, measured on the validation rows."""
        from brightspark.nlp.model import TextClassifierModel, text_artifact
        from brightspark.nlp.start import write_trained
        from brightspark.nlp.training import adapted_classifier

        settings = self.settled(fit)
        start, folder = fit.place / START, fit.place / "model"
        adapted = None if settings.lora_rank is None else adapted_classifier(start, settings)
        write_trained(start, fit.run / WEIGHTS, folder, adapted)
        reading = {declared.name: getattr(settings, declared.name) for declared in fields(WindowSettings)}
        reading["pooling"] = settings.pooling
        return trained_classifier(
            TextClassifierModel,
            fit,
            text_artifact(folder),
            settings,
            reading=reading,
            staged={**reading, "text_col": "text"},
        )
