"""Learning to translate on Spark: a pyspark.ml Estimator over translators of transformers, or a new small one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from brightspark.core import cache
from brightspark.core.estimator import VALIDATION, Fit, TrainingEstimator
from brightspark.core.run import WEIGHTS
from brightspark.core.session import partitions
from brightspark.core.trained import held_out_limits, training_card
from brightspark.core.transform import quoted
from brightspark.core.translation_metrics import translation
from brightspark.nlp.columns import check_text_column, text_error
from brightspark.nlp.lora_settings import LORA_RATE, NAMES
from brightspark.nlp.translation_fit_settings import FROM_SCRATCH, RATE, SCRATCH, TranslationFitSettings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from brightspark.nlp.translator import TranslatorModel

START = "network"  # the folder of the network that training starts with
SAID = (  # settings that the builder must know
    "source_language", "target_language", "training_tokens", "max_chars", "dropout", "label_smoothing",
    "group_by_length", *NAMES,
)  # fmt: skip
VOCABULARY_ROWS = 50_000  # that a vocabulary is made from, 1,000 characters each: at most 100 MB on the driver
MEASURED_ROWS = 1000  # of the validation rows: to translate takes longer than to learn


class Translator(TrainingEstimator[TranslationFitSettings]):
    """Learns to translate from a DataFrame of texts and their translations, on as many ranks as `ranks` says.

    Starts with any sequence-to-sequence checkpoint, or with `scratch`: a small Marian with a SentencePiece vocabulary
    made of the training rows, whose other defaults are `brightspark.nlp.translation_fit_settings.FROM_SCRATCH`.
    Reads the columns `text_col` and `target_col`. Rows without a translation take no part, texts that are null or empty
    neither, up to `max_error_rate`.

    Sentences of one document stand on both sides unless `group_col` names the document: the metrics are too good then.

    `fit` returns a `TranslatorModel` with the weights of the best epoch on the validation rows, whose `artifact` holds
    BLEU, chrF and TER there, settings, and what names the data.

    >>> translator = Translator("Helsinki-NLP/opus-mt-en-de", group_col="document")       # doctest: +SKIP
    >>> model = translator.fit(read_texts(spark, "pairs.parquet"))                        # doctest: +SKIP

    Settings are those of `brightspark.nlp.translation_fit_settings.TranslationFitSettings`.
    """

    builder = "brightspark.nlp.translation_training:build"
    Settings = TranslationFitSettings
    labelled = False

    def __init__(self, checkpoint: str = "", **settings: Any) -> None:
        own = FROM_SCRATCH if checkpoint == SCRATCH else {}
        super().__init__(**{"checkpoint": checkpoint, **own, **settings})

    def key(self, df: DataFrame) -> tuple[str, ...]:
        """The column of texts: equal texts never stand on both sides."""
        check_text_column(df, self.settings.text_col)
        check_text_column(df, self.settings.target_col, "target_col")
        return (self.settings.text_col,)

    def truth_col(self) -> str:
        """The column of translations."""
        return self.settings.target_col

    def origin(self) -> str:
        """The digest of the weights that training starts with."""
        from brightspark.nlp.translator_start import origin

        return origin(self.settings)

    def facts(self, fit: Fit) -> dict[str, Any]:
        """`brightspark.nlp.translation_training.Facts`; writes the network that training starts with."""
        from brightspark.nlp.translator_start import write_start

        settings = self.settings
        write_start(fit.place / START, settings, partial(_sampled, fit.learned, (settings.text_col, self.truth_col())))
        return {"network": str(fit.place / START), **{name: getattr(settings, name) for name in SAID}}

    def chosen(self, fit: Fit) -> dict[str, Any]:
        """The learning rate."""
        settings = self.settings
        if settings.learning_rate is not None:
            return {}
        return {"learning_rate": RATE if settings.lora_rank is None else LORA_RATE}

    def rows(self, df: DataFrame, fit: Fit) -> DataFrame:
        """`text`, `target`, `length` (characters of both), and `error`: no row crosses into Python."""
        settings = self.settings
        text, target = (F.col(quoted(name)).cast("string") for name in (settings.text_col, settings.target_col))
        error = F.coalesce(
            text_error(text, settings.max_chars), text_error(target, settings.max_chars, "the translation")
        )
        length = F.char_length(text) + F.char_length(target)
        return df.select(text.alias("text"), target.alias("target"), length.alias("length"), error.alias("error"))

    def model(self, fit: Fit) -> TranslatorModel:
        """The trained network in place, measured on validation rows."""
        from brightspark.nlp.lora import adapt
        from brightspark.nlp.network import load_translator
        from brightspark.nlp.start import write_trained
        from brightspark.nlp.translator import TranslatorModel, translator_artifact

        settings = self.settled(fit)
        start, folder = fit.place / START, fit.place / "model"
        adapted = None if settings.lora_rank is None else adapt(load_translator(start), settings)
        write_trained(start, fit.run / WEIGHTS, folder, adapted)
        described = translator_artifact(folder)
        artifact = replace(
            described,
            address=str(cache.keep(described.address, described.digest, described.files)),  # the fit's folder may go
            training=training_card(fit, settings),
            limits=held_out_limits(fit, settings),
        )
        names = ("source_language", "target_language", "translation_col", "score_col", "error_col")
        said = {name: getattr(settings, name) for name in names}
        said["max_tokens"] = settings.training_tokens  # of longer texts it has seen the beginning only
        if fit.survey.held_out:
            artifact = replace(artifact, metrics=_measured(TranslatorModel(artifact, **said), fit))
        return TranslatorModel(artifact, **said, text_col=settings.text_col)


def _sampled(rows: DataFrame, columns: tuple[str, str]) -> Iterator[str]:
    """Texts of both languages: the same ones for the same rows, however they are ordered and partitioned."""
    from brightspark.nlp.vocabulary import PIECE_CHARS

    said = [F.substring(F.col(quoted(name)).cast("string"), 1, PIECE_CHARS).alias(name) for name in columns]
    chosen = rows.select(*said).orderBy(F.xxhash64(*map(quoted, columns)), *map(quoted, columns)).limit(VOCABULARY_ROWS)
    for row in chosen.collect():
        yield from (" ".join(text.split()) for text in row if text)


def _measured(model: TranslatorModel, fit: Fit) -> dict[str, Any]:
    """BLEU, chrF and TER over up to MEASURED_ROWS validation rows, with sacrebleu's signatures."""
    rows = fit.staged(VALIDATION).orderBy(F.xxhash64("text", "target")).limit(MEASURED_ROWS)
    rows = rows.repartition(partitions(fit.spark))  # a limit leaves one, and one core to translate it
    report = translation(model.transform(rows))
    scores = {name: getattr(report.overall, name) for name in ("bleu", "chrf", "ter")}
    return {"validation_rows": report.rows, **scores, "signatures": report.signatures}
