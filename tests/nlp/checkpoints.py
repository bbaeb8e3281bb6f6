"""Small real checkpoints of transformers with seeded weights, texts for them, and what transformers answers."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

LABELS = ("calm", "dull", "eager", "frank")
WORDS = {  # a word says its label, or nothing
    "glad": ["glad", "bright", "merry", "sunny"],
    "grim": ["grim", "dark", "bitter", "stormy"],
    "": ["the", "a", "day", "house", "road", "and", "it", "was", "we", "went", "under", "over", "river", "tree"],
}
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,!?'"
SPREAD = 2.0  # standard deviation of the outputs: different answers, small enough for unsure ones


def text(label: str, seed: int, words: int = 12) -> str:
    """Words of which some say the label; without one, words that say nothing."""
    chance = random.Random(f"{label} {seed}")
    said = [chance.choice(WORDS[label] if label and chance.random() < 0.4 else WORDS[""]) for _ in range(words)]
    return " ".join([*said, chance.choice(WORDS[label])])


def texts(count: int) -> list[str]:
    """Texts of different lengths, from one word to hundreds."""
    chance = random.Random(count)
    return [
        text(chance.choice(["glad", "grim", ""]), seed, words=int(chance.expovariate(1 / 25))) for seed in range(count)
    ]


def save_tokenizer(folder: Path) -> Any:
    """A WordPiece tokenizer over WORDS and single letters, as BERT has it."""
    vocabulary = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *sorted(word for some in WORDS.values() for word in some),
    ]
    vocabulary += [letter for letter in LETTERS if letter not in vocabulary] + [f"##{letter}" for letter in LETTERS]
    numbers = {word: number for number, word in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordPiece(numbers, unk_token="[UNK]"))  # type: ignore[call-arg]
    tokenizer.normalizer = normalizers.BertNormalizer()  # type: ignore[assignment]
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()  # type: ignore[assignment]
    tokenizer.post_processor = processors.TemplateProcessing(  # type: ignore[assignment]
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, numbers[name]) for name in ("[CLS]", "[SEP]")],
    )
    named = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named, model_max_length=64)
    fast.save_pretrained(folder)
    return fast


def save_classifier(folder: Path, *, labels: Sequence[str] = LABELS, seed: int = 0, **config: Any) -> Path:
    """A BERT of two layers with a classifier, as transformers saves it. Windows of 64 tokens."""
    tokenizer = save_tokenizer(folder)
    torch.manual_seed(seed)
    network = transformers.BertForSequenceClassification(_config(tokenizer, labels, **config)).eval()
    some = tokenizer(texts(64), return_tensors="pt", padding=True, truncation=True)
    with torch.no_grad():
        logits = network(**some).logits
        scale = (SPREAD / logits.std(dim=0)).round(decimals=2)
        network.classifier.weight.mul_(scale[:, None])
        network.classifier.bias.copy_((-logits.mean(dim=0) * scale).round(decimals=2))
    network.save_pretrained(folder)
    return folder


def save_encoder(folder: Path, *, seed: int = 0) -> Path:
    """A BERT of two layers without a head."""
    tokenizer = save_tokenizer(folder)
    torch.manual_seed(seed)
    transformers.BertModel(_config(tokenizer, LABELS)).save_pretrained(folder)
    return folder


def _config(tokenizer: Any, labels: Sequence[str], **more: Any) -> Any:
    return transformers.BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=64, id2label=dict(enumerate(labels)),
        label2id={name: number for number, name in enumerate(labels)}, initializer_range=0.2, **more,
    )  # fmt: skip


def plain_logits(folder: Path, said: Sequence[str]) -> np.ndarray[Any, Any]:
    """The outputs for each text, one by one and cut to the window, as transformers' documentation computes them."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    network = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        rows = [network(**tokenizer(one, return_tensors="pt", truncation=True)).logits[0] for one in said]
    return torch.stack(rows).numpy()


def softmax(logits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))
