"""The engine without Spark on a GPU, against the plain loop sorted by length; neither Spark nor Java is needed.

    python benchmarks/score_text.py --part gpu

The network has MiniLM's shape and random weights. Where no registry is reached, bring the folders `texts-20000-seed-0`
and `minilm-shape` of `~/.cache/brightspark/bench` along, into `bench` of a folder that BRIGHTSPARK_CACHE names.

From texts to labels, tokenizing included: a GPU of today is done with such a network sooner than a core with cutting
texts into tokens. The plain loop cuts all texts by one call of the tokenizer, on all cores; notes say how long.
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import apart

from texts import data, plain
from texts.job import Done, Job, Stopwatch
from texts.part import Asked, Found, measured

BUDGETS = {"16k": 1 << 14, "64k": 1 << 16}  # tokens in a batch
CONTENDERS = tuple(f"{who}_{size}" for who in ("engine", "raw") for size in BUDGETS)
GOALS = {(f"engine_{size}", f"raw_{size}"): 0.9 for size in BUDGETS}
TEXTS = 20_000
WARM_UP = 1 / 16  # of the texts
RECORDS = 1000  # that the engine is given at a time, as by Spark


def measure(asked: Asked) -> Found | None:
    """Both at each budget; None where there is no GPU."""
    import torch

    if asked.device == "cuda" and not torch.cuda.is_available():
        print("there is no GPU here: nothing was measured")
        return None
    count = asked.texts or TEXTS
    texts = data.table(count)
    job = Job(
        texts=texts,
        warm_up=data.sample(texts, WARM_UP),
        model=data.random_checkpoint(),
        bfloat16=not asked.float32,
        device=asked.device,
    )
    print(f"on {torch.cuda.get_device_name() if asked.device == 'cuda' else asked.device}")
    contenders = {
        name: partial(apart.call, "texts.job:run", contender=f"texts.gpu:{who}", job=given.to_json())
        for name in CONTENDERS
        for who, _, size in [name.partition("_")]
        for given in [replace(job, budget=BUDGETS[size])]
    }
    standard = count == TEXTS and not asked.float32 and asked.device == "cuda"
    name = f"gpu-{count}-{job.precision}-{asked.device}"
    _, found = measured(name, contenders, GOALS, asked, standard=standard, counted="tokens")
    return found


def engine(job: Job) -> Done:
    """`core.score` over nlp's predictor, as a service would use it."""
    from brightspark.core.worker import make_scorer
    from brightspark.nlp.settings import TextSettings

    settings = TextSettings(pooling="first", precision=job.precision, device=job.device, batch_size=job.budget)
    scorer = make_scorer(job.model, "brightspark.nlp.predictor:load", settings)

    def score(folder: Path) -> None:
        records = [{"text": text} for text in data.rows(folder).values()]
        batches = [records[start : start + RECORDS] for start in range(0, len(records), RECORDS)]
        outcomes = [outcome for some in scorer.score(batches) for outcome in some]
        assert all(outcome.error is None for outcome in outcomes)

    score(job.warm_up)
    scorer.stats.take()
    watch = Stopwatch()
    score(job.texts)
    seconds = watch.seconds()
    done = scorer.stats.take()
    return Done(texts=int(done["records"]), tokens=int(done["cost"]), seconds=seconds, notes=done)


def raw(job: Job) -> Done:
    """All texts sorted by length, batches of so many tokens; what is on the device is asked for at the end."""
    import torch
    import transformers

    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    tokenizer = transformers.AutoTokenizer.from_pretrained(job.model)
    network: Any = transformers.AutoModelForSequenceClassification.from_pretrained(job.model).eval().to(job.device)

    def cut(folder: Path) -> list[list[int]]:
        found: list[list[int]] = tokenizer(
            list(data.rows(folder).values()), truncation=True, max_length=data.MAX_TOKENS, return_attention_mask=False
        )["input_ids"]
        return found

    def score(ids: list[list[int]]) -> None:
        found = []
        with torch.inference_mode(), torch.autocast(job.device, torch.bfloat16, enabled=job.bfloat16):
            for some in plain.by_length([len(one) for one in ids], job.budget):
                rows, mask = (torch.from_numpy(array) for array in plain.padded([ids[number] for number in some]))
                given = {"input_ids": rows.to(job.device), "attention_mask": mask.to(job.device).long()}
                found.append(network(**given).logits.float().softmax(dim=1))
        torch.cat(found).cpu()

    score(cut(job.warm_up))
    watch = Stopwatch()
    ids = cut(job.texts)
    cutting = watch.seconds()
    score(ids)
    seconds = watch.seconds()
    tokens = sum(map(len, ids))
    return Done(texts=len(ids), tokens=tokens, seconds=seconds, notes={"tokenizing_seconds": cutting})
