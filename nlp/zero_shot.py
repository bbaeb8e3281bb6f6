"""Labels that no network was trained for: each as a sentence, and how far the text entails it. Knows no Spark.

The method is that of Yin et al. 2019 (arXiv:1909.00161) over a network of natural language inference, as transformers'
zero-shot pipeline has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from brightspark.core.classifier_settings import answer_type, classified, to_probabilities
from brightspark.core.errors import ArtifactError, SettingError
from brightspark.core.predictor import Answer, Predictor
from brightspark.nlp.network import load_classifier
from brightspark.nlp.predictor import Part, text_predictor
from brightspark.nlp.settings import ZeroShotSettings
from brightspark.nlp.tokens import Tokens, Window


def load(folder: Path, device: str, settings: ZeroShotSettings) -> Predictor:
    """The inference network of a folder, asked about each of the settings' labels.

    Raises ArtifactError where the network does not tell entailment from contradiction, SettingError where a label
    leaves no room for the text.
    """
    network = load_classifier(folder).to(device)
    entailment, contradiction = outputs_of(network.config)
    tokens = Tokens(folder, network.config, settings)
    hypotheses = [settings.hypothesis.format(label) for label in settings.candidate_labels]
    for hypothesis in hypotheses:
        if len(tokens.tokenizer(hypothesis)["input_ids"]) > tokens.max_tokens // 2:
            raise SettingError(f"{hypothesis[:40]!r}… needs more than half of the network's {tokens.max_tokens} tokens")

    def windows(text: Any) -> Iterator[Window]:
        return tokens.pairs(text, hypotheses)

    def outputs(batch: dict[str, torch.Tensor]) -> torch.Tensor:
        logits: torch.Tensor = network(**batch).logits.float()
        entailed = logits[:, [entailment]]
        # With several labels each is asked for by itself: entailed, or contradicted.
        return entailed - logits[:, [contradiction]] if settings.multi_label else entailed

    def answer(parts: Sequence[Part]) -> Answer:
        (row,) = to_probabilities(torch.from_numpy(np.concatenate([part.outputs for part in parts]))[None], settings)
        return classified(row, settings.candidate_labels, settings)

    return text_predictor(network, tokens, windows, device, settings, answer_type(settings), outputs, answer)


def outputs_of(config: Any) -> tuple[int, int]:
    """The numbers of the outputs for entailment and contradiction; raises ArtifactError where there are none such."""
    named = {str(name).lower(): number for number, name in config.id2label.items()}
    found = []
    for start in ("entail", "contradict"):
        numbers = [number for name, number in named.items() if name.startswith(start)]
        if not numbers:  # a network of two outputs calls the other one not_entailment
            numbers = [number for name, number in named.items() if start == "contradict" and name.startswith("not")]
        if len(numbers) != 1:
            raise ArtifactError(
                f"the network's labels are {', '.join(map(str, config.id2label.values()))}: zero-shot labels need one "
                "for natural language inference, with entailment and contradiction"
            )
        found += numbers
    return found[0], found[1]
