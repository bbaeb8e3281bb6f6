"""Ways to score texts: each returns texts a second, from the Parquet files to answers that are dropped, once warm."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd  # pandas_udf looks its annotations up in the module

from texts import data

CORES = len(os.sched_getaffinity(0))
WARM_UP = 64  # texts


def brightspark(folder: str, model: str, bfloat16: bool) -> dict[str, Any]:
    """TextClassifierModel over the table, to a no-op write."""
    from brightspark.core.session import session
    from brightspark.nlp import TextClassifierModel

    spark = session()
    classifier = TextClassifierModel.pretrained(
        model, max_tokens=data.MAX_TOKENS, pooling="first", precision="bfloat16" if bfloat16 else "float32"
    )
    frame = spark.read.parquet(folder)
    classifier.transform(_warm_up(frame)).write.format("noop").mode("overwrite").save()
    started = time.perf_counter()
    scored, observation = classifier.measure(frame)
    scored.write.format("noop").mode("overwrite").save()
    seconds = time.perf_counter() - started
    found = observation.get
    spark.stop()
    return {"rate": found["records"] / seconds, "padding": 1 - found["cost"] / found["padded_cost"], "stats": found}


def _warm_up(frame: Any) -> Any:
    """Some texts for every worker."""
    return frame.filter(frame["id"] < WARM_UP * CORES).repartition(CORES, "id")


def predict_batch(folder: str, model: str, bfloat16: bool) -> dict[str, Any]:
    """Spark's predict_batch_udf: tokens of fixed length in one UDF, the network in another."""
    import numpy as np
    from pyspark.ml.functions import predict_batch_udf
    from pyspark.sql.functions import pandas_udf
    from pyspark.sql.types import ArrayType, FloatType

    from brightspark.core.session import session

    spark = session()

    @pandas_udf("array<long>")  # type: ignore[call-overload,misc,untyped-decorator]
    def tokens(text: pd.Series) -> pd.Series:
        import transformers

        tokenizer = transformers.AutoTokenizer.from_pretrained(model)
        cut = tokenizer(text.tolist(), padding="max_length", truncation=True, max_length=data.MAX_TOKENS)
        return pd.Series(cut["input_ids"])

    def make() -> Callable[[np.ndarray], np.ndarray]:
        import torch
        import transformers

        torch.set_num_threads(1)
        network = transformers.AutoModelForSequenceClassification.from_pretrained(model).eval()

        def predict(ids: np.ndarray) -> np.ndarray:
            batch = torch.from_numpy(ids)
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                logits = network(input_ids=batch, attention_mask=(batch != 0).long()).logits
            return logits.float().softmax(dim=1).numpy()

        return predict

    classify = predict_batch_udf(
        make, return_type=ArrayType(FloatType()), batch_size=32, input_tensor_shapes=[[data.MAX_TOKENS]]
    )
    frame = spark.read.parquet(folder)

    def score(some: Any) -> None:
        some.select("id", classify(tokens("text")).alias("p")).write.format("noop").mode("overwrite").save()

    score(_warm_up(frame))
    count = frame.count()
    started = time.perf_counter()
    score(frame)
    seconds = time.perf_counter() - started
    spark.stop()
    return {"rate": count / seconds}


def pipeline(folder: str, model: str, bfloat16: bool) -> dict[str, Any]:
    """transformers' own pipeline, 32 at a time in file order, a process for each core."""
    return _processes(_pipeline, folder, model, bfloat16)


def raw(folder: str, model: str, bfloat16: bool) -> dict[str, Any]:
    """Sorted by length, batches of so many tokens, a process for each core: what there is to gain."""
    return _processes(_raw, folder, model, bfloat16)


def _processes(loop: Any, folder: str, model: str, bfloat16: bool) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")
    ready, go = context.Barrier(CORES + 1), context.Barrier(CORES + 1)
    counts = context.Queue()
    given = [(loop, folder, model, bfloat16, part, ready, go, counts) for part in range(CORES)]
    processes = [context.Process(target=_one, args=each) for each in given]
    for process in processes:
        process.start()
    ready.wait()
    started = time.perf_counter()
    go.wait()
    count = sum(counts.get() for _ in processes)
    seconds = time.perf_counter() - started
    for process in processes:
        process.join()
    return {"rate": count / seconds}


def _one(loop: Any, folder: str, model: str, bfloat16: bool, part: int, ready: Any, go: Any, counts: Any) -> None:
    import torch

    torch.set_num_threads(1)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    score = loop(model, bfloat16)
    score(data.rows(Path(folder), part, CORES)[:WARM_UP])
    ready.wait()
    go.wait()
    said = data.rows(Path(folder), part, CORES)
    score(said)
    counts.put(len(said))


def _pipeline(model: str, bfloat16: bool) -> Callable[[Sequence[str]], None]:
    import torch
    import transformers

    network = transformers.AutoModelForSequenceClassification.from_pretrained(model).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    classify = transformers.pipeline("text-classification", model=network, tokenizer=tokenizer, device="cpu")

    def score(said: Sequence[str]) -> None:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            for _ in classify(
                list(said), batch_size=32, top_k=None, truncation=True, padding=True, max_length=data.MAX_TOKENS
            ):
                pass

    return score


def _raw(model: str, bfloat16: bool, budget: int = 2048) -> Callable[[Sequence[str]], None]:
    import torch
    import transformers

    network = transformers.AutoModelForSequenceClassification.from_pretrained(model).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)

    def score(said: Sequence[str]) -> None:
        cut = tokenizer(list(said), truncation=True, max_length=data.MAX_TOKENS)["input_ids"]
        order = sorted(range(len(cut)), key=lambda number: -len(cut[number]))
        while order:
            longest = len(cut[order[0]])
            some, order = order[: max(1, budget // longest)], order[max(1, budget // longest) :]
            ids = torch.zeros(len(some), longest, dtype=torch.long)
            for row, number in enumerate(some):
                ids[row, : len(cut[number])] = torch.tensor(cut[number])
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                network(input_ids=ids, attention_mask=(ids != 0).long()).logits.float().softmax(dim=1).numpy()

    return score
