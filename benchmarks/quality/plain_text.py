"""Fine-tuning as a plain script of transformers does it: the loop that ours is not to be worse than."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch
import transformers
from torch.utils.data import DataLoader

from quality.splits import Row


def train_and_answer(
    checkpoint: str,
    labels: Sequence[str],
    parts: dict[str, Sequence[Row]],
    *,
    tokens: int,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    schedule: str,
    warmup: float,
    weight_decay: float,
    bfloat16: bool,
    seed: int,
) -> tuple[list[str], list[float]]:
    """Trains on `training`, keeps the epoch of the least loss on `validation`; answers for `test`, and those losses.

    `schedule` is transformers' name of one; `warmup` the share of all steps in which the rate rises. Texts are cut
    after their first `tokens`, as the documentation's `truncation=True` does it.
    """
    transformers.set_seed(seed)
    transformers.logging.set_verbosity_error()  # it reports the new head
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)
    network = transformers.AutoModelForSequenceClassification.from_pretrained(checkpoint, num_labels=len(labels))
    network.to(device)
    collate = transformers.DataCollatorWithPadding(tokenizer)

    def batches(part: str) -> Any:
        encoded = [
            {**tokenizer(row["text"], truncation=True, max_length=tokens), "labels": labels.index(row["label"])}
            for row in parts[part]
        ]
        return DataLoader(encoded, batch_size=batch_size, shuffle=part == "training", collate_fn=collate)  # type: ignore[arg-type]

    training, validation, test = (batches(part) for part in ("training", "validation", "test"))
    optimizer = torch.optim.AdamW(_groups(network, weight_decay), lr=learning_rate)
    steps = epochs * len(training)
    rates = transformers.get_scheduler(schedule, optimizer, round(warmup * steps), steps)
    losses: list[float] = []
    kept = network.state_dict()
    for _ in range(epochs):
        network.train()
        for batch in training:
            with torch.autocast(device, torch.bfloat16, enabled=bfloat16):
                loss = network(**batch.to(device)).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            rates.step()
            optimizer.zero_grad()
        loss = _validated(network, validation, device, bfloat16)
        if loss < min(losses, default=math.inf):
            kept = copy.deepcopy(network.state_dict())
        losses.append(loss)
    network.load_state_dict(kept)
    found = _logits(network, test, device, bfloat16)[0].argmax(dim=1)
    return [labels[number] for number in found.tolist()], losses


def _groups(network: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """As the Trainer has them: biases and norms do not decay."""
    decayed = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def _validated(network: torch.nn.Module, batches: Any, device: str, bfloat16: bool) -> float:
    return float(torch.nn.functional.cross_entropy(*_logits(network, batches, device, bfloat16)))


@torch.inference_mode()
def _logits(network: torch.nn.Module, batches: Any, device: str, bfloat16: bool) -> tuple[torch.Tensor, torch.Tensor]:
    network.eval()
    found, truth = [], []
    for batch in batches:
        with torch.autocast(device, torch.bfloat16, enabled=bfloat16):
            found.append(network(**batch.to(device)).logits.float().cpu())
        truth.append(batch["labels"].cpu())
    return torch.cat(found), torch.cat(truth)
