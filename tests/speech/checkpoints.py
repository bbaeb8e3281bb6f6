"""A small Whisper with random weights, in transformers' own format, and what transformers writes with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    GenerationConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperTokenizer,
)

SECONDS = 2  # that it hears
RATE = 16_000
LANGUAGES = ("en", "de", "fr")
WRITTEN = set("abcdefghijklmnopqrstuvwxyz") | {"Ġ"}  # byte-level tokenizers write a space so
SPECIAL = (
    "<|endoftext|>", "<|startoftranscript|>", *(f"<|{code}|>" for code in LANGUAGES), "<|translate|>",
    "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>",
)  # fmt: skip


def save_whisper(folder: Path, *, multilingual: bool = False, seed: int = 0) -> Path:
    """Writes the checkpoint; its texts differ from one sound to the next, and end."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: number for number, letter in enumerate(letters)}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(text, special=True) for text in SPECIAL])
    WhisperTokenizer(
        tokenizer_object=tokenizer, **dict.fromkeys(("bos_token", "eos_token", "unk_token", "pad_token"), SPECIAL[0])
    ).save_pretrained(folder)
    number = {text: len(letters) + place for place, text in enumerate(SPECIAL)}
    torch.manual_seed(seed)
    ends = {
        "bos_token_id": number[SPECIAL[1]],
        "eos_token_id": number[SPECIAL[0]],
        "pad_token_id": number[SPECIAL[0]],
        "decoder_start_token_id": number[SPECIAL[1]],
    }
    config = WhisperConfig(
        vocab_size=len(letters) + len(SPECIAL), d_model=32, encoder_layers=2, decoder_layers=2,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=64,
        decoder_ffn_dim=64, max_source_positions=SECONDS * 50,
        max_target_positions=64, num_mel_bins=80, init_std=0.25, **ends,
    )  # fmt: skip
    network = WhisperForConditionalGeneration(config).eval()
    with torch.no_grad():  # letters follow from what is heard, not from the letters before, and the end is likely
        network.model.decoder.embed_tokens.weight[number[SPECIAL[0]]] *= 1.5
    several = (
        {
            "lang_to_id": {f"<|{code}|>": number[f"<|{code}|>"] for code in LANGUAGES},
            "task_to_id": {task: number[f"<|{task}|>"] for task in ("transcribe", "translate")},
        }
        if multilingual
        else {}
    )
    network.generation_config = GenerationConfig(
        **ends,
        max_length=64,
        is_multilingual=multilingual,
        **several,
        no_timestamps_token_id=number["<|notimestamps|>"],
        suppress_tokens=[number[text] for text in SPECIAL[1:]]
        + [vocabulary[each] for each in letters if each not in WRITTEN],
        begin_suppress_tokens=[number[SPECIAL[0]]],
        alignment_heads=[[0, 1], [1, 0]],
    )
    network.save_pretrained(folder)
    WhisperFeatureExtractor(chunk_length=SECONDS).save_pretrained(folder)
    return folder


def plain_transcripts(folder: Path, sounds: Sequence[NDArray[np.float32]], *, limit: int, **said: str) -> list[str]:
    """What transformers' own `generate` writes, each sound filled up with silence."""
    network = WhisperForConditionalGeneration.from_pretrained(folder).eval()
    tokenizer = WhisperTokenizer.from_pretrained(folder)
    extractor = WhisperFeatureExtractor.from_pretrained(folder)
    texts: list[str] = []
    for first in range(0, len(sounds), 32):
        heard = list(sounds[first : first + 32])
        features = extractor(heard, sampling_rate=RATE, return_tensors="pt").input_features
        found = network.generate(features, do_sample=False, num_beams=1, max_new_tokens=limit, **said)
        texts += [text.strip() for text in tokenizer.batch_decode(found, skip_special_tokens=True)]
    return texts


def sound(seed: int, seconds: float) -> NDArray[np.float32]:
    """Some tones that come and go."""
    random = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE)) / RATE
    tones = [
        np.sin(2 * np.pi * pitch * time + phase) * (np.sin(2 * np.pi * rate * time) > 0)
        for pitch, phase, rate in zip(
            random.uniform(100, 4000, 4), random.uniform(0, 6, 4), random.uniform(1, 8, 4), strict=True
        )
    ]
    return np.asarray(0.2 * np.sum(tones, axis=0) + 0.01 * random.standard_normal(len(time)), dtype=np.float32)
