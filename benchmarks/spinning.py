"""How OpenMP's threads should wait for each other: `python benchmarks/spinning.py`.

A training step of a small translator (2 + 2 layers of 192, bfloat16), alone on its cores and beside a process that
computes too; GOMP_SPINCOUNT as it is by default, at what brightspark sets, and a single thread. Milliseconds a step.
"""

from __future__ import annotations

import json
import multiprocessing
import statistics
import time
from pathlib import Path
from typing import Any

import apart
import machine

RESULT = Path(__file__).parent / "results" / "spinning.json"
WAYS = {
    "default": {"GOMP_SPINCOUNT": ""},
    "1,000 rounds": {"GOMP_SPINCOUNT": "1000"},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
BATCHES = (16, 64)
ROUNDS, SECONDS = 3, 3.0


def main() -> None:
    described = machine.describe()
    print(machine.headline(described))
    found: dict[str, Any] = {}
    for beside in (False, True):
        for batch in BATCHES:
            runs: dict[str, list[float]] = {name: [] for name in WAYS}
            for number in range(ROUNDS):
                for name in apart.rotated(list(WAYS), number):
                    runs[name].append(_measured(WAYS[name], batch, beside))
            where = f"batches of {batch}, {'beside another process' if beside else 'alone'}"
            found[where] = runs
            print(f"| {where} | " + " | ".join(f"{statistics.median(each):.0f}" for each in runs.values()) + " |")
    RESULT.write_text(json.dumps({"machine": described, "milliseconds": found}, indent=1) + "\n")


def _measured(environment: dict[str, str], batch: int, beside: bool) -> float:
    other = multiprocessing.get_context("spawn").Process(target=_busy, daemon=True)
    if beside:
        other.start()
    try:
        return float(apart.call("spinning:step", environment=environment, batch=batch))
    finally:
        if beside:
            other.terminate()
            other.join()


def _busy() -> None:
    """Computes on as many threads as there are cores, as another task would."""
    import torch

    one = torch.randn(1024, 1024)
    while True:
        one @ one


def step(batch: int) -> float:
    """Milliseconds of a step."""
    import torch
    import transformers

    torch.manual_seed(0)
    sides = {
        f"{side}_{name}": value
        for side in ("encoder", "decoder")
        for name, value in (("layers", 2), ("attention_heads", 6), ("ffn_dim", 768))
    }
    config = transformers.MarianConfig(
        vocab_size=2500, d_model=192, **sides, pad_token_id=2499, eos_token_id=0, decoder_start_token_id=2499
    )
    config.use_cache = False
    network = transformers.MarianMTModel(config).train()
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)
    source, target = torch.randint(1, 2400, (batch, 20)), torch.randint(1, 2400, (batch, 24))

    def once() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(input_ids=source, decoder_input_ids=target).logits
        torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), target.flatten()).backward()
        optimizer.step()
        optimizer.zero_grad()

    once()
    started, steps = time.perf_counter(), 0
    while time.perf_counter() - started < SECONDS:
        once()
        steps += 1
    return 1000 * (time.perf_counter() - started) / steps


if __name__ == "__main__":
    main()
