"""Fine-tuning a sequence classifier on texts: the task that the training loop runs. Knows torch, no Spark."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from brightspark.core.checkpoint_network import load_config
from brightspark.core.classification_task import Truth, classifying
from brightspark.core.classifier_facts import ClassifierFacts
from brightspark.core.task import Batch, Record, Task
from brightspark.nlp.lora import adapt, is_frozen, only_learned
from brightspark.nlp.lora_settings import LoraSettings
from brightspark.nlp.network import load_classifier, with_dropout
from brightspark.nlp.settings import WindowSettings
from brightspark.nlp.start import PREFIX
from brightspark.nlp.tokens import Tokens, Window, padded

Example = tuple[Window, torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Facts(ClassifierFacts, LoraSettings):
    """What the task of a training is made of; as JSON, the run's facts."""

    training_tokens: int
    max_chars: int
    dropout: float | None
    group_by_length: bool


def build(raw: Mapping[str, Any]) -> Task:
    """The task of a training, from its `Facts` as JSON."""
    facts = Facts(**raw)
    folder = Path(facts.network)
    config = with_dropout(load_config(folder), facts.dropout)
    if facts.lora_rank is None:
        network = load_classifier(folder, config).requires_grad_(True)
    else:
        network = adapted_classifier(folder, facts, config).model
    module, learning = Logits(network), classifying(facts, depths(network))
    if facts.lora_rank is not None:
        only_learned(module)
        learning["frozen"] = is_frozen(module)
    windows = WindowSettings(max_tokens=facts.training_tokens, overlap=0, max_chars=facts.max_chars)
    tokens = Tokens(folder, network.config, windows)
    return Task(
        module=module,
        columns=("text", "label"),
        example=Examples(tokens, Truth(facts)),
        collate=Collate(tokens),
        length="length" if facts.group_by_length else None,
        **learning,
    )


def adapted_classifier(folder: Path, settings: LoraSettings, config: Any = None) -> Any:
    """The classifier of a folder with adapters, as peft's LoraModel: they and the head learn.

    The head is what is not of the encoder, and its pooler, which not every checkpoint has trained. `config` takes the
    place of the folder's own. Raises as `brightspark.nlp.lora.adapt` does.
    """
    network = load_classifier(folder, config)
    base = f"{network.base_model_prefix}."
    head = [name for name, _ in network.named_parameters() if not name.startswith(base) or ".pooler." in name]
    return adapt(network, settings, head)


class Logits(torch.nn.Module):
    """A network of transformers as a function from a batch to its outputs."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Rows × labels; of a translator, rows × tokens × vocabulary."""
        logits: torch.Tensor = self.network(**batch).logits
        return logits


class Examples:
    """A staged record as its first tokens, and its labels."""

    def __init__(self, tokens: Tokens, truth: Truth) -> None:
        self.tokens, self.truth = tokens, truth

    def __call__(self, record: Record, training: bool) -> Example:
        """What a Task asks for as `example`."""
        return self.tokens.first(record["text"]), self.truth(record["label"])


class Collate:
    """Examples as a batch, filled up to the longest of them."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens

    def __call__(self, examples: Sequence[Example]) -> Batch:
        """What a Task asks for as `collate`."""
        windows, truth = zip(*examples, strict=True)
        return padded(self.tokens.tokenizer, windows), torch.stack(truth)


def depths(network: Any) -> dict[str, int]:
    """Each parameter's depth by the network's layers, under its name in `Logits`; the head is the deepest.

    What stands before the layers (embeddings) has 0, what stands behind them within the encoder (a pooler, a last
    norm) the last layer's.
    """
    base = f"{network.base_model_prefix}."
    numbers = {name: _layer(name) for name, _ in network.named_parameters() if name.startswith(base)}
    last = max((number for number in numbers.values() if number is not None), default=0)
    found = {}
    for name, _ in network.named_parameters():
        if name not in numbers:
            found[name] = last + 1
        elif (number := numbers[name]) is not None:
            found[name] = number
        else:
            found[name] = 0 if "embed" in name or "wte" in name or "wpe" in name else last
    return {f"{PREFIX}{name}": depth for name, depth in found.items()}


def _layer(name: str) -> int | None:
    """The number of the layer, from 1, that a parameter belongs to."""
    found = re.search(r"\.(?:layers?|h|block|blocks|albert_layer_groups)\.(\d+)\.", name)
    return None if found is None else int(found.group(1)) + 1
