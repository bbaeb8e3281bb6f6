"""Opens networks and tokenizers of transformers, for scoring, training and converting. Knows torch, no Spark."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.utils import logging as transformers_logging

from brightspark.core.errors import ArtifactError


def complete_network(
    kind: Any, folder: Path, what: str, config: Any = None, *, dtype: torch.dtype = torch.float32
) -> Any:
    """A network by one of transformers' classes, frozen; weights that have `dtype` in the file stay mapped from it.

    Raises ArtifactError where the folder holds another kind of network, or lacks some of its weights.
    """
    network, missing = open_network(kind, folder, what, config, dtype=dtype)
    if missing:
        raise ArtifactError(
            f"{folder} is not {what}: its weights lack {missing[0]}{' and others' if missing[1:] else ''}. "
            "Fine-tune it first, or name a checkpoint that was"
        )
    return network.requires_grad_(False).eval()


def open_network(
    kind: Any, folder: Path, what: str, config: Any = None, *, dtype: torch.dtype = torch.float32, **options: Any
) -> tuple[Any, list[str]]:
    """A network by one of transformers' classes, and the names of the weights that the folder lacks, less a pooler's.

    Safetensors only, no code of the folder's own, nothing asked of a hub. Raises ArtifactError where it cannot be.
    """
    config = config if config is not None else load_config(folder)
    try:
        with quiet():
            network, found = kind.from_pretrained(
                folder,
                config=config,
                dtype=dtype,
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


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a folder, which has a token to pad with.

    Raises ArtifactError where there is none that works without code of its own.
    """
    try:
        tokenizer: Any = transformers.AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # each tokenizer has its own ways to fail
        raise ArtifactError(f"{folder} has no tokenizer that can be used: {error}") from error
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token_id is None:
            raise ArtifactError(f"the tokenizer in {folder} has no token to pad with: set pad_token in its files")
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = tokenizer.truncation_side = "right"
    return tokenizer


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
