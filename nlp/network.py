"""Networks over texts with the weights of their folder, ready for inference. Knows torch and transformers, no Spark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import transformers

from brightspark.core.checkpoint_network import complete_network
from brightspark.core.errors import ArtifactError

_DROPOUTS = (  # what the families of transformers call it
    "hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout", "classifier_dropout",
    "seq_classif_dropout", "dropout_rate", "resid_pdrop", "embd_pdrop", "attn_pdrop",
)  # fmt: skip


def load_classifier(folder: Path, config: Any = None) -> Any:
    """The sequence classifier of a folder, in float32 and frozen; its weights stay mapped from the file.

    `config` takes the place of the folder's own. Raises ArtifactError where the folder holds another kind of network,
    or weights that do not fit.
    """
    return complete_network(transformers.AutoModelForSequenceClassification, folder, "a text classifier", config)


def load_encoder(folder: Path) -> Any:
    """The encoder of a folder, whatever head it has, in float32 and frozen; its weights stay mapped from the file.

    Raises ArtifactError where the weights do not fit.
    """
    return complete_network(transformers.AutoModel, folder, "a text encoder")


def load_translator(folder: Path, config: Any = None) -> Any:
    """The sequence-to-sequence network of a folder, in float32 and frozen; its weights stay mapped from the file.

    `config` takes the place of the folder's own. Raises ArtifactError where the folder holds another kind of network,
    or weights that do not fit.
    """
    return complete_network(
        transformers.AutoModelForSeq2SeqLM, folder, "a translator (sequence-to-sequence network)", config
    )


def with_dropout(config: Any, dropout: float | None) -> Any:
    """The same configuration with another dropout in all layers; None leaves the checkpoint's."""
    for name in _DROPOUTS if dropout is not None else ():
        if hasattr(config, name):
            setattr(config, name, dropout)
    return config


def read_labels(config: Any) -> tuple[str, ...]:
    """The labels of a classifier, in the order of its outputs.

    Raises ArtifactError where two are equal, or there is a single output, as a regression has.
    """
    labels = tuple(str(config.id2label[number]) for number in range(config.num_labels))
    if len(labels) < 2:
        raise ArtifactError("the network has a single output: that is a regression, not a classifier")
    if len(set(labels)) < len(labels):
        raise ArtifactError(f"two labels of the network have the same name: {', '.join(labels)}")
    return labels
