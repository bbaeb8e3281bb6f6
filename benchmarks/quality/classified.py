"""Contenders that learn to classify texts: which test rows each got right, in a process of its own."""

from __future__ import annotations

import time
from typing import Any

from brightspark import samples
from quality import splits


def plain(folder: str, seed: int, **settings: Any) -> dict[str, Any]:
    """The plain loop of transformers, with the given rates and schedule."""
    import torch

    from brightspark.core.precision import resolve_precision
    from quality.plain_text import train_and_answer

    device = "cuda" if torch.cuda.is_available() else "cpu"
    parts = {name: splits.read(folder, name) for name in ("training", "validation", "test")}
    started = time.perf_counter()
    answers, losses = train_and_answer(
        str(samples.model("minilm")), splits.labels(folder), parts, seed=seed,
        bfloat16=resolve_precision("auto", device) == "bfloat16", **settings,
    )  # fmt: skip
    return {"seconds": time.perf_counter() - started, "losses": losses, "right": _right(answers, folder)}


def ours(folder: str, seed: int, **settings: Any) -> dict[str, Any]:
    """TextClassifier on Spark, from the DataFrame to the answers; the rows that validate are those that it finds.

    `right_cut` are the answers where it reads no more of a long text than the plain loop does.
    """
    import torch

    from brightspark.core.session import session
    from brightspark.nlp import TextClassifier

    spark = session("benchmark")
    learned, held_out = splits.read(folder, "training"), splits.read(folder, "validation")
    rows = [(row["text"], row["label"]) for row in [*learned, *held_out]]
    shown = [(number, row["text"]) for number, row in enumerate(splits.read(folder, "test"))]
    losses: list[float] = []
    started = time.perf_counter()
    classifier = TextClassifier(
        str(samples.model("minilm")), seed=seed, validation_share=splits.SHARE, use_gpu=torch.cuda.is_available(),
        **settings,
    )  # fmt: skip
    classifier.watch = lambda line: losses.append(line["loss"]) if line["kind"] == "epoch" else None
    model = classifier.fit(spark.createDataFrame(rows, "text string, label string"))
    assert model.artifact.training["training_rows"] == len(learned)
    frame = spark.createDataFrame(shown, "number long, text string")

    def right(reading: dict[Any, Any]) -> str:
        answered = model.transform(frame, reading).select("number", "prediction").collect()
        found = {row["number"]: row["prediction"] for row in answered}
        return _right([found[number] for number, _ in shown], folder)

    run = {"right": right({}), "seconds": time.perf_counter() - started, "losses": losses}
    if any(len(text) > settings["training_tokens"] for _, text in shown):
        first = {model.max_tokens: settings["training_tokens"], model.overlap: 0, model.pooling: "first"}
        run["right_cut"] = right(first)
    return run


def words(folder: str, seed: int) -> dict[str, Any]:
    """Counted words, weighed by TF-IDF, and a logistic regression: scikit-learn's defaults."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    learned = [*splits.read(folder, "training"), *splits.read(folder, "validation")]
    started = time.perf_counter()
    fitted = make_pipeline(TfidfVectorizer(), LogisticRegression(max_iter=1000, random_state=seed)).fit(
        [row["text"] for row in learned], [row["label"] for row in learned]
    )
    answers = fitted.predict([row["text"] for row in splits.read(folder, "test")])
    return {"seconds": time.perf_counter() - started, "right": _right(list(answers), folder)}


def _right(answers: list[str], folder: str) -> str:
    """A 1 for each test row that got its label, a 0 for each other."""
    return "".join(
        str(int(answer == row["label"])) for answer, row in zip(answers, splits.read(folder, "test"), strict=True)
    )
