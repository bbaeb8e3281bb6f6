"""Plain Python: transformers' pipeline, and the loop that sorts by length, which is what there is to gain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from texts import data, processes
from texts.job import Done, Job

BATCH = 32  # texts


def pipeline(job: Job) -> Done:
    """transformers' own pipeline, in batches of 32 in file order."""
    return processes.run(partial(_load_pipeline, BATCH), job)


def pipeline_single(job: Job) -> Done:
    """The same without batches, as its documentation advises for processors: nothing is padded."""
    return processes.run(partial(_load_pipeline, 1), job)


def raw(job: Job) -> Done:
    """All texts of a process sorted by length, batches of so many tokens."""
    return processes.run(_load_raw, job)


def _load_pipeline(batch: int, job: Job) -> processes.Score:
    import torch
    import transformers

    from texts.network import load_network

    loaded = load_network(job)
    classify = transformers.pipeline(
        "text-classification", model=loaded.network, tokenizer=loaded.tokenizer, device="cpu"
    )

    def score(texts: Mapping[int, str]) -> dict[int, str]:
        said = list(texts.values())
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=job.bfloat16):
            found = classify(said, batch_size=batch, top_k=None, truncation=True, max_length=data.MAX_TOKENS)
        return {number: answer[0]["label"] for number, answer in zip(texts, found, strict=True)}

    return score


def _load_raw(job: Job) -> processes.Score:

    from texts.network import load_network

    loaded = load_network(job)

    def score(texts: Mapping[int, str]) -> dict[int, str]:
        ids = loaded.tokenizer(list(texts.values()), truncation=True, max_length=data.MAX_TOKENS)["input_ids"]
        best = np.zeros(len(ids), dtype=np.int64)
        for some in by_length([len(one) for one in ids], job.budget):
            best[some] = loaded.probabilities(*padded([ids[number] for number in some])).argmax(axis=1)
        return dict(zip(texts, data.named(best.tolist()), strict=True))

    return score


def by_length(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """The numbers of the longest first, as many together as fit into a budget of tokens.

    >>> list(by_length([2, 5, 3, 1], 6))
    [[1], [2, 0], [3]]
    """
    order = sorted(range(len(lengths)), key=lambda number: -lengths[number])
    start = 0
    while start < len(order):
        end = start + max(1, budget // lengths[order[start]])
        yield order[start:end]
        start = end


def padded(ids: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Tokens filled up with 0, which pads in BERT's family, and where they are none."""

    rows = np.zeros((len(ids), len(ids[0])), dtype=np.int64)  # the first is the longest
    for row, one in zip(rows, ids, strict=True):
        row[: len(one)] = one
    return rows, rows != 0
