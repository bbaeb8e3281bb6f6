"""A vocabulary of its own for a translator from scratch, as Marian's tokenizer has it. Knows no Spark."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from brightspark.core.errors import InputError

PIECE_CHARS = 1000  # of a text that a vocabulary is made from
_END, _UNKNOWN, _PADDING = "</s>", "<unk>", "<pad>"


def learn_tokenizer(texts: Iterable[str], size: int, positions: int) -> Any:
    """A MarianTokenizer with up to `size` pieces of both languages, by SentencePiece's unigram model.

    What it has no piece for is spelled in bytes, so that nothing is unknown to it (Kudo 2018, arXiv:1804.10959).
    Raises InputError where the texts hold nothing to learn from.
    """
    import sentencepiece
    from transformers import MarianTokenizer

    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=model,
            vocab_size=size,
            hard_vocab_limit=False,
            byte_fallback=True,
            num_threads=1,  # more make another vocabulary each time
            minloglevel=2,
            unk_id=0,
            bos_id=-1,
            eos_id=-1,
            pad_id=-1,
        )
    except (RuntimeError, OSError) as error:
        raise InputError(f"these texts make no vocabulary: {error}") from error
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    names = [_END, _UNKNOWN, *(pieces.id_to_piece(number) for number in range(1, len(pieces))), _PADDING]
    with tempfile.TemporaryDirectory() as made:
        for name in ("source.spm", "target.spm"):
            Path(made, name).write_bytes(model.getvalue())
        Path(made, "vocab.json").write_text(json.dumps({name: number for number, name in enumerate(names)}))
        spm: dict[str, Any] = {f"{side}_spm": f"{made}/{side}.spm" for side in ("source", "target")}
        tokenizer: Any = MarianTokenizer(vocab=f"{made}/vocab.json", **spm, model_max_length=positions)
        tokenizer.save_pretrained(f"{made}/saved")
        return MarianTokenizer.from_pretrained(f"{made}/saved")
