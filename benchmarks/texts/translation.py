"""Translations by brightspark, and by transformers' `generate` in a process for each core: the same search."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from texts import processes
from texts.job import Done, Job, Stopwatch

BATCH = 16  # texts
BEAMS = 4
MAX_NEW_TOKENS = 256


def brightspark(job: Job) -> Done:
    """`TranslatorModel` over a table, to a no-op write; a second, untimed pass gives all translations."""
    from brightspark.core.session import session
    from brightspark.nlp import TranslatorModel

    spark = session()
    model = TranslatorModel.pretrained(
        str(job.model), beams=BEAMS, max_new_tokens=MAX_NEW_TOKENS, precision=job.precision
    )
    texts = spark.read.parquet(str(job.texts))
    model.transform(spark.read.parquet(str(job.warm_up))).write.format("noop").mode("overwrite").save()
    scored, observation = model.measure(texts)
    watch = Stopwatch()
    scored.write.format("noop").mode("overwrite").save()
    seconds = watch.seconds()
    found = observation.get
    assert not found["errors"], f"{found['errors']} texts failed"
    answers = {row.id: row.translation for row in model.transform(texts).select("id", "translation").collect()}
    spark.stop()
    return Done(texts=found["records"], seconds=seconds, answers=answers, notes=found)


def generate(job: Job) -> Done:
    """`generate` over batches in file order, padded to the longest."""
    return processes.run(_load, job, all_answers=True)


def generate_sorted(job: Job) -> Done:
    """The same over all texts of a process sorted by length: no text waits for one that is much longer."""
    return processes.run(_load_sorted, job, all_answers=True)


def _load(job: Job) -> processes.Score:
    return _loaded(job, by_length=False)


def _load_sorted(job: Job) -> processes.Score:
    return _loaded(job, by_length=True)


def _loaded(job: Job, *, by_length: bool) -> processes.Score:
    import torch
    import transformers

    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    torch.set_num_threads(1)
    tokenizer = transformers.AutoTokenizer.from_pretrained(job.model)
    network: Any = transformers.AutoModelForSeq2SeqLM.from_pretrained(job.model).eval()

    def score(texts: Mapping[int, str]) -> dict[int, str]:
        ids = list(texts)
        if by_length:
            ids.sort(key=lambda number: -len(tokenizer(texts[number])["input_ids"]))
        found = {}
        for start in range(0, len(ids), BATCH):
            some = ids[start : start + BATCH]
            inputs = tokenizer([texts[number] for number in some], padding=True, return_tensors="pt")
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=job.bfloat16):
                said = network.generate(
                    **inputs, num_beams=BEAMS, max_new_tokens=MAX_NEW_TOKENS, max_length=None, do_sample=False
                )
            found |= dict(zip(some, tokenizer.batch_decode(said, skip_special_tokens=True), strict=True))
        return found

    return score
