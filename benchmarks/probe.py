"""A linear probe, deep features and a logistic regression on them: with Spark, and with plain timm and scikit-learn.

Both minimise the same: Spark's regParam r over n rows, on standardised features, is scikit-learn's C = 1 / (r n).
"""

from __future__ import annotations

import csv
import multiprocessing
import random
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contenders.job import Stopwatch, in_batches

if TYPE_CHECKING:
    import numpy as np

MODEL = "efficientnet-lite0"
REG_PARAM = 0.01
ITERATIONS = 100
BATCH = 32
WARM_UP = 64  # images
TEST_SHARE = 0.3  # of the images that the pairs were cut from
SEED = 0


@dataclass(frozen=True)
class Pair:
    """A picture to learn from or to be tested on."""

    path: str
    label: str


@dataclass(kw_only=True)
class Run:
    """Seconds by phase, and the label that each test picture got."""

    start: float
    """Imports, and starting the session or the processes."""
    load: float
    """Loading the network, and its first use: the warm-up images."""
    fit: float
    """From the list of training files to a fitted model."""
    answer: float
    """From the list of test files to their labels."""
    labels: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def split() -> tuple[list[Pair], list[Pair]]:
    """Training and test pictures of `samples.dermoscopy()`, split by the image that both patches come from."""
    from brightspark import samples

    folder = samples.dermoscopy()
    with (folder / "pairs.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["source"] == row["second_source"]]
    chance = random.Random(SEED)
    chance.shuffle(rows)
    sources = sorted({row["source"] for row in rows})
    held_out = set(chance.sample(sources, round(TEST_SHARE * len(sources))))
    pairs: tuple[list[Pair], list[Pair]] = ([], [])
    for row in rows:
        pairs[row["source"] in held_out].append(Pair(str(folder / row["path"]), row["label"]))
    return pairs


def run_plain(train: Sequence[Pair], test: Sequence[Pair], *, processes: int, threads: int, bfloat16: bool) -> Run:
    """timm in so many processes of so many threads, each taking the next batch; scikit-learn in this one."""
    watch = Stopwatch()
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from brightspark import samples

    folder = samples.model(MODEL)
    with multiprocessing.get_context("spawn").Pool(processes, _import_timm) as pool:
        pool.map(_ready, range(processes), chunksize=1)
        start = watch.lap()
        pool.map(_load, [(folder, threads, bfloat16)] * processes, chunksize=1)
        _features(pool, train[:WARM_UP])
        load = watch.lap()
        regression = LogisticRegression(C=1 / (REG_PARAM * len(train)), max_iter=ITERATIONS, tol=1e-6)
        model = make_pipeline(StandardScaler(), regression)
        model.fit(_features(pool, train), [pair.label for pair in train])
        fit = watch.lap()
        found = model.predict(_features(pool, test))
        answer = watch.lap()
    labels = {Path(pair.path).name: str(label) for pair, label in zip(test, found, strict=True)}
    return Run(start=start, load=load, fit=fit, answer=answer, labels=labels)


_loaded: Any = None  # the network of a pool's process


def _import_timm() -> None:
    import timm  # noqa: F401 (its import belongs to the start)


def _ready(number: int) -> int:
    import time

    time.sleep(0.5)  # so that no process takes two of these calls: each is to be up
    return number


def _load(what: tuple[Path, int, bool]) -> None:
    import time

    from classifier import Classifier

    global _loaded
    folder, threads, bfloat16 = what
    _loaded = Classifier.load(folder, threads=threads, bfloat16=bfloat16, channels_last=True)
    time.sleep(0.5)


def _features(pool: Any, pairs: Sequence[Pair]) -> np.ndarray:
    import numpy as np

    batches = in_batches([pair.path for pair in pairs], BATCH)
    return np.concatenate(list(pool.imap(_featurize, batches)))


def _featurize(paths: list[str]) -> np.ndarray:
    """The pooled features of some files."""
    features: np.ndarray = _loaded.features([_loaded.decode(Path(path).read_bytes()) for path in paths])
    return features


def run_spark(train: Sequence[Pair], test: Sequence[Pair], *, precision: str) -> Run:
    """FeaturePipeline on a local session over all cores, from tables of paths and labels."""
    watch = Stopwatch()
    from pyspark.ml import Pipeline
    from pyspark.ml.classification import LogisticRegression
    from pyspark.ml.feature import IndexToString, StringIndexer

    from brightspark import samples
    from brightspark.core.features import FeaturePipeline
    from brightspark.core.session import session
    from brightspark.vision import ImageFeaturizer, read_images

    scratch = tempfile.mkdtemp(prefix="brightspark-bench-")

    def table(pairs: Sequence[Pair], name: str) -> str:
        path = Path(scratch, f"{name}.csv")
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("path", "label"), *((pair.path, pair.label) for pair in pairs)])
        return str(path)

    spark = session()
    spark.range(1).count()
    start = watch.lap()
    featurizer = ImageFeaturizer.pretrained(str(samples.model(MODEL)), precision=precision, batch_size=BATCH)

    featurizer.transform(read_images(spark, table(train[:WARM_UP], "few"))).write.format("noop").mode(
        "overwrite"
    ).save()
    load = watch.lap()
    learner = Pipeline(
        stages=[
            StringIndexer(inputCol="label", outputCol="index", stringOrderType="alphabetAsc"),
            LogisticRegression(labelCol="index", predictionCol="number", regParam=REG_PARAM, maxIter=ITERATIONS),
            IndexToString(inputCol="number", outputCol="prediction", labels=sorted({pair.label for pair in train})),
        ]
    )
    model = FeaturePipeline(featurizer, learner).fit(read_images(spark, table(train, "train")))
    fit = watch.lap()
    found = model.transform(read_images(spark, table(test, "test"))).select("path", "prediction").collect()
    answer = watch.lap()
    spark.stop()
    shutil.rmtree(scratch)
    labels = {Path(row["path"]).name: row["prediction"] for row in found}
    return Run(start=start, load=load, fit=fit, answer=answer, labels=labels)
