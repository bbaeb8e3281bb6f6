"""Where a translator's training starts: a checkpoint, or a small Marian from scratch. Knows no Spark."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import transformers

from brightspark.core import cache
from brightspark.core.batches import seed_everything
from brightspark.core.checkpoint import find_start
from brightspark.core.checkpoint_network import load_tokenizer
from brightspark.core.errors import InputError
from brightspark.nlp.network import load_translator
from brightspark.nlp.start import save_start
from brightspark.nlp.translation_fit_settings import SCRATCH, TranslationFitSettings
from brightspark.nlp.translator import KIND
from brightspark.nlp.vocabulary import learn_tokenizer

POSITIONS = 512  # tokens that a network from scratch has places for
HEAD_WIDTH = 32  # of an attention head: fewer, wider ones learned much later which word stands for which


def origin(settings: TranslationFitSettings) -> str:
    """The digest of the files that training starts with; raises InputError for a name that nobody knows."""
    if not settings.checkpoint:
        raise InputError("name the checkpoint to start with, Translator('Helsinki-NLP/opus-mt-en-de'), or 'scratch'")
    return (
        SCRATCH if settings.checkpoint == SCRATCH else find_start(settings.checkpoint, kind=KIND, solution="nlp").digest
    )


def write_start(folder: Path, settings: TranslationFitSettings, texts: Callable[[], Iterable[str]]) -> None:
    """Writes the translator that training starts with to `folder`, as transformers has it, unless it is there already.

    `texts` gives those that a network from scratch makes its vocabulary of. Raises InputError for a name that nobody
    knows, ArtifactError for a checkpoint that is no translator.
    """
    if folder.exists():
        return
    seed_everything(settings.seed)
    if settings.checkpoint == SCRATCH:
        tokenizer = learn_tokenizer(texts(), settings.vocabulary, POSITIONS)
        save_start(folder, _small_marian(tokenizer, settings), tokenizer)
        return
    artifact = find_start(settings.checkpoint, kind=KIND, solution="nlp")
    source = cache.keep(artifact.address, artifact.digest, artifact.files)
    save_start(folder, load_translator(source), load_tokenizer(source))


def _small_marian(tokenizer: Any, settings: TranslationFitSettings) -> Any:
    """A transformer with new weights, as Marian has them (Junczys-Dowmunt et al. 2018, arXiv:1804.00344)."""
    sides: dict[str, Any] = {
        f"{side}_{name}": value
        for side in ("encoder", "decoder")
        for name, value in (
            ("layers", settings.layers),
            ("attention_heads", settings.width // HEAD_WIDTH),
            ("ffn_dim", 4 * settings.width),
        )
    }
    padding, end = tokenizer.pad_token_id, tokenizer.eos_token_id
    config = transformers.MarianConfig(
        vocab_size=len(tokenizer),
        d_model=settings.width,
        **sides,
        max_position_embeddings=POSITIONS,
        activation_function="swish",
        scale_embedding=True,
        init_std=settings.width**-0.5,  # as Glorot's for square matrices; 0.02 is that of a width of 2,500
        dropout=0.1,
        pad_token_id=padding,
        eos_token_id=end,
        forced_eos_token_id=end,
        decoder_start_token_id=padding,
    )
    network: Any = transformers.MarianMTModel(config)
    network.generation_config.bad_words_ids = [[padding]]  # it starts a translation, and is in none
    return network
