"""The classifier as whoever writes a script would use it: transformers' own, one thread, autocast."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import transformers

from texts import data
from texts.job import Job


@dataclass(frozen=True)
class Network:
    """A checkpoint's tokenizer and network."""

    tokenizer: Any
    network: Any
    bfloat16: bool

    def probabilities(self, ids: Any, mask: Any) -> np.ndarray:
        """Of tokens, rows × tokens, and where they are no padding: rows × labels."""
        given = {"input_ids": torch.as_tensor(ids), "attention_mask": torch.as_tensor(mask).long()}
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            logits = self.network(**given).logits
        found: np.ndarray = logits.float().softmax(dim=1).numpy()
        return found

    def padded(self, texts: Sequence[str]) -> tuple[Any, Any]:
        """Tokens of texts, padded to the longest, and where they are none."""
        cut = self.tokenizer(
            list(texts), padding="longest", truncation=True, max_length=data.MAX_TOKENS, return_tensors="pt"
        )
        return cut["input_ids"], cut["attention_mask"]


def load_network(job: Job) -> Network:
    """The job's checkpoint in this process, which is one of as many as there are cores."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    torch.set_num_threads(1)
    tokenizer = transformers.AutoTokenizer.from_pretrained(job.model)
    network = transformers.AutoModelForSequenceClassification.from_pretrained(job.model).eval()
    return Network(tokenizer, network, job.bfloat16)
