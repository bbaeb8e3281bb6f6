"""Networks over texts with the weights of their folder, ready for inference. Knows torch and transformers, no Spark."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.utils import logging as transformers_logging

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
    return _complete(transformers.AutoModelForSequenceClassification, folder, "a text classifier", config)


def load_encoder(folder: Path) -> Any:
    """The encoder of a folder, whatever head it has, in float32 and frozen; its weights stay mapped from the file.

    Raises ArtifactError where the weights do not fit.
    """
    return _complete(transformers.AutoModel, folder, "a text encoder")


def load_translator(folder: Path, config: Any = None) -> Any:
    """The sequence-to-sequence network of a folder, in float32 and frozen; its weights stay mapped from the file.

    `config` takes the place of the folder's own. Raises ArtifactError where the folder holds another kind of network,
    or weights that do not fit.
    """
    return _complete(transformers.AutoModelForSeq2SeqLM, folder, "a translator (sequence-to-sequence network)", config)


def open_network(kind: Any, folder: Path, what: str, config: Any = None, **options: Any) -> tuple[Any, list[str]]:
    """A network by one of transformers' classes, and the names of the weights that the folder lacks, less a pooler's.

    Safetensors only, no code of the folder's own, nothing asked of a hub. Raises ArtifactError where it cannot be.
    """
    config = config if config is not None else load_config(folder)
    try:
        with quiet():
            network, found = kind.from_pretrained(
                folder,
                config=config,
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
                **options,
            )
    except Exception as error:  # whatever a foreign folder makes transformers raise
        raise ArtifactError(f"{folder} is not {what} that transformers can load: {error}") from error
    # An encoder's pooler is not always trained, and no answer of ours depends on it.
    return network, sorted(name for name in found["missing_keys"] if ".pooler." not in f".{name}")


def load_config(folder: Path) -> Any:
    """A folder's config.json; raises ArtifactError where transformers has no such network of its own."""
    try:
        return transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # whatever a foreign file makes transformers raise
        raise ArtifactError(f"{folder}/config.json is no network that transformers has: {error}") from error


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


def _complete(kind: Any, folder: Path, what: str, config: Any = None) -> Any:
    network, missing = open_network(kind, folder, what, config)
    if missing:
        raise ArtifactError(
            f"{folder} is not {what}: its weights lack {missing[0]}{' and others' if missing[1:] else ''}. "
            "Fine-tune it first, or name a checkpoint that was"
        )
    return network.requires_grad_(False).eval()


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps transformers from drawing progress bars and reports; what matters of them we raise."""
    logging: Any = transformers_logging  # it has no annotations
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
