"""Small random translators of each family, saved as transformers saves them, and what its `generate` answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sentencepiece
import torch
import transformers

from tests.nlp.checkpoints import LETTERS, WORDS

POSITIONS = 64
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
FAMILIES = {  # the languages that each is asked for
    "marian": {},
    "marian-several": {"target_language": "fra"},
    "nllb": {"source_language": "eng_Latn", "target_language": "deu_Latn"},
    "m2m100": {"source_language": "en", "target_language": "de"},
    "mbart50": {"source_language": "en_XX", "target_language": "de_DE"},
    "mbart": {"source_language": "en_XX", "target_language": "ro_RO"},
    "t5": {"source_language": "English", "target_language": "German"},
}
_SIZE: dict[str, Any] = {
    "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4, "init_std": 0.6,
    "decoder_attention_heads": 4, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "max_position_embeddings": POSITIONS,
}  # fmt: skip


def save_translator(folder: Path, family: str, *, seed: int = 0) -> Path:
    """A network of two layers with random weights, whose translations end after different lengths."""
    folder.mkdir(parents=True, exist_ok=True)
    pieces = _sentencepiece(folder)
    tokenizer = _TOKENIZERS[family.partition("-")[0]](folder, pieces, several=family.endswith("several"))
    torch.manual_seed(seed)
    network = _NETWORKS[family.partition("-")[0]](tokenizer).eval()
    with torch.no_grad():  # so that the end is, now and then, the likeliest token
        network.get_output_embeddings().weight[tokenizer.eos_token_id] *= 2.0
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def plain_translations(folder: Path, said: Sequence[str], **settings: Any) -> list[tuple[str, float]]:
    """The translation of each text and its tokens' mean log-probability, one by one, as each family documents it."""
    return [(text, score) for text, score, _ in _generated(folder, said, **settings)]


def plain_lengths(folder: Path, said: Sequence[str], **settings: Any) -> list[int]:
    """How many tokens the translation of each text has, the one that ends it included."""
    return [length for *_, length in _generated(folder, said, **settings)]


def _generated(
    folder: Path, said: Sequence[str], *, source_language: str = "", target_language: str = "", **settings: Any
) -> list[tuple[str, float, int]]:
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder)
    network: Any = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    kind, more = type(tokenizer).__name__, {}
    prefix = ""
    if kind.startswith("T5"):
        prefix = f"translate {source_language} to {target_language}: "
    elif kind.startswith("Marian"):
        prefix = f">>{target_language}<< " if target_language else ""
    else:
        tokenizer.src_lang = source_language
        code = f"__{target_language}__" if kind.startswith("M2M100") else target_language
        started = "decoder_start_token_id" if kind == "MBartTokenizer" else "forced_bos_token_id"
        more = {started: tokenizer.convert_tokens_to_ids(code)}
    answers = []
    for text in said:
        inputs = tokenizer(prefix + text, return_tensors="pt")
        found = network.generate(
            **inputs, do_sample=False, **more, **settings, output_scores=True, return_dict_in_generate=True
        )
        steps = network.compute_transition_scores(
            found.sequences, found.scores, getattr(found, "beam_indices", None), normalize_logits=True
        )[0]
        ends = (found.sequences[0, 1:] == tokenizer.eos_token_id).nonzero().flatten().tolist()
        steps = steps[: ends[0] + 1] if ends else steps
        translated = tokenizer.decode(found.sequences[0], skip_special_tokens=True).strip()
        answers.append((translated, float(steps.mean()), len(steps)))
    return answers


def _sentencepiece(folder: Path) -> Path:
    corpus = folder / "corpus.txt"
    words = sorted(word for some in WORDS.values() for word in some)
    corpus.write_text("\n".join(f"{one} {other}" for one in words for other in words) + f"\n{' '.join(LETTERS)}\n")
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus), model_prefix=str(folder / "pieces"), vocab_size=90, hard_vocab_limit=False,
        character_coverage=1.0, minloglevel=2, num_threads=1,
    )  # fmt: skip
    corpus.unlink()
    (folder / "pieces.vocab").unlink()
    return folder / "pieces.model"


def _vocabulary(pieces: Path) -> list[tuple[str, float]]:
    model: Any = sentencepiece.SentencePieceProcessor(model_file=str(pieces))
    return [(model.id_to_piece(number), model.get_score(number)) for number in range(3, model.get_piece_size())]


def _marian_tokenizer(folder: Path, pieces: Path, *, several: bool) -> Any:
    codes = [">>fra<<", ">>deu<<"] if several else []
    names = ["</s>", "<unk>", *codes, *(name for name, _ in _vocabulary(pieces)), "<pad>"]
    vocabulary = folder / "words.json"
    vocabulary.write_text(json.dumps({name: number for number, name in enumerate(names)}))
    return transformers.MarianTokenizer(
        source_spm=str(pieces), target_spm=str(pieces), vocab=str(vocabulary), source_lang="eng",
        target_lang=None if several else "deu",
    )  # fmt: skip


def _m2m100_tokenizer(folder: Path, pieces: Path, *, several: bool) -> Any:
    names = [*SPECIAL, *(name for name, _ in _vocabulary(pieces))]
    vocabulary = folder / "words.json"
    vocabulary.write_text(json.dumps({name: number for number, name in enumerate(names)}))
    return transformers.M2M100Tokenizer(vocab_file=str(vocabulary), spm_file=str(pieces))


def _nllb_tokenizer(folder: Path, pieces: Path, *, several: bool) -> Any:
    letters = ["▁", *LETTERS]
    merges = [(f"▁{letter}", other) for letter in "abcdeghmrtuw" for other in "aehiorut"]
    names = [*SPECIAL, *letters, *(f"▁{letter}" for letter in LETTERS), *("".join(pair) for pair in merges)]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    first = [("▁", letter) for letter in LETTERS]
    return transformers.NllbTokenizer(vocab=numbers, merges=[*first, *merges])


def _mbart50_tokenizer(folder: Path, pieces: Path, *, several: bool) -> Any:
    return transformers.MBart50Tokenizer(vocab=[("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0), *_vocabulary(pieces)])


def _mbart_tokenizer(folder: Path, pieces: Path, *, several: bool) -> Any:
    return transformers.MBartTokenizer(vocab=[*((name, 0.0) for name in SPECIAL), *_vocabulary(pieces)])


def _t5_tokenizer(folder: Path, pieces: Path, *, several: bool) -> Any:
    return transformers.T5Tokenizer(
        vocab=[("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *_vocabulary(pieces)], extra_ids=0
    )


def _marian(tokenizer: Any) -> Any:
    pad = tokenizer.pad_token_id
    return transformers.MarianMTModel(
        transformers.MarianConfig(
            vocab_size=len(tokenizer), pad_token_id=pad, eos_token_id=tokenizer.eos_token_id,
            decoder_start_token_id=pad, bad_words_ids=[[pad]], forced_eos_token_id=tokenizer.eos_token_id, **_SIZE,
        )
    )  # fmt: skip


def _m2m100(tokenizer: Any) -> Any:
    return transformers.M2M100ForConditionalGeneration(
        transformers.M2M100Config(vocab_size=len(tokenizer) + 110, decoder_start_token_id=2, **_SIZE)
    )


def _mbart(tokenizer: Any) -> Any:
    return transformers.MBartForConditionalGeneration(
        transformers.MBartConfig(vocab_size=len(tokenizer), decoder_start_token_id=2, **_SIZE)
    )


def _t5(tokenizer: Any) -> Any:
    return transformers.T5ForConditionalGeneration(
        transformers.T5Config(
            vocab_size=len(tokenizer), d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, initializer_factor=3.0,
            decoder_start_token_id=0,
        )
    )  # fmt: skip


_TOKENIZERS = {
    "marian": _marian_tokenizer, "m2m100": _m2m100_tokenizer, "nllb": _nllb_tokenizer, "mbart50": _mbart50_tokenizer,
    "mbart": _mbart_tokenizer, "t5": _t5_tokenizer,
}  # fmt: skip
_NETWORKS = {"marian": _marian, "m2m100": _m2m100, "nllb": _m2m100, "mbart50": _mbart, "mbart": _mbart, "t5": _t5}
