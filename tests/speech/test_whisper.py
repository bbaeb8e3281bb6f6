"""What Whisper hears and writes, against transformers' own network, features and `generate`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration

from brightspark.core.checkpoint_network import load_tokenizer
from brightspark.core.errors import ArtifactError, SettingError
from brightspark.speech.log_mel import log_mel, padded
from brightspark.speech.prompts import prompts_of
from brightspark.speech.transcribe import Part, Piece, Writer, alignment_heads, compression
from brightspark.speech.transcription_settings import TranscriptionSettings
from brightspark.speech.whisper import Encoder, load_network
from tests.speech.checkpoints import LANGUAGES, RATE, SECONDS, plain_transcripts, save_whisper, sound

LIMIT = 20
SOUNDS = [sound(seed, 0.2 + 0.09 * (seed % 20)) for seed in range(24)]


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_whisper(tmp_path_factory.mktemp("english") / "whisper")


@pytest.fixture(scope="module")
def multilingual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_whisper(tmp_path_factory.mktemp("multilingual") / "whisper", multilingual=True)


def _pieces(sounds: list[np.ndarray], start: float = 0.0) -> list[Piece]:
    return [Piece(start, len(each) / RATE, log_mel(each, 80)) for each in sounds]


def _write(writer: Writer, pieces: list[Piece]) -> list[Part]:
    return writer.write(writer.prepare(pieces))


def _writer(folder: Path, **settings: object) -> Writer:
    return Writer(
        folder,
        "cpu",
        TranscriptionSettings(precision="float32", max_new_tokens=LIMIT, **settings),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("samples", [1, 160, 161, 359, 1_000, 16_000, 48_057, 464_001, 479_850, 480_000])
def test_hears_the_same_spectrogram_as_transformers(samples: int) -> None:
    heard = np.random.default_rng(samples).normal(0, 0.1, samples).astype(np.float32)
    theirs = WhisperFeatureExtractor()(heard, sampling_rate=RATE, return_tensors="pt").input_features
    torch.testing.assert_close(padded([log_mel(heard, 80)], 3_000), theirs, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_the_full_window_is_encoded_as_transformers_does(english: Path) -> None:
    network = load_network(english)
    spectrograms = [log_mel(each, 80) for each in SOUNDS]
    theirs = network.model.encoder(padded(spectrograms, SECONDS * 100)).last_hidden_state
    encoder = Encoder(network)
    ours = encoder(encoder.collate(spectrograms, whole=True)).states
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("full_window", [True, False])
def test_writes_what_generate_writes(english: Path, full_window: bool) -> None:
    theirs = plain_transcripts(english, SOUNDS, limit=LIMIT)
    assert len(set(theirs)) > len(SOUNDS) // 2, "the network writes the same whatever it hears"
    parts = _write(_writer(english, full_window=full_window), _pieces(SOUNDS))
    assert [part.text for part in parts] == theirs


@pytest.mark.parametrize(("language", "task"), [("de", "transcribe"), ("fr", "translate")])
def test_is_told_the_language_as_generate_is(multilingual: Path, language: str, task: str) -> None:
    theirs = plain_transcripts(multilingual, SOUNDS, limit=LIMIT, language=language, task=task)
    other = plain_transcripts(multilingual, SOUNDS, limit=LIMIT, language="en", task="transcribe")
    assert theirs != other
    parts = _write(_writer(multilingual, full_window=True, language=language, task=task), _pieces(SOUNDS))
    assert [part.text for part in parts] == theirs
    assert {part.language for part in parts} == {language}


@torch.inference_mode()
def test_finds_out_the_language_as_transformers_does(multilingual: Path) -> None:
    network = WhisperForConditionalGeneration.from_pretrained(multilingual).eval()
    writer = _writer(multilingual, full_window=True)
    features = padded([log_mel(each, 80) for each in SOUNDS], SECONDS * 100)
    theirs = network.detect_language(features).tolist()
    codes = {token: code for code, token in writer.prompts.languages.items()}
    found = [part.language for part in _write(writer, _pieces(SOUNDS))]
    assert found == [codes[token] for token in theirs]
    assert len(set(found)) > 1


@torch.inference_mode()
def test_what_is_heard_does_not_depend_on_the_others_in_a_batch(english: Path) -> None:
    encoder = Encoder(load_network(english))
    spectrograms = [log_mel(each, 80) for each in SOUNDS]
    together = encoder(encoder.collate(spectrograms)).states
    for row, one in enumerate(spectrograms):
        length = encoder.length(one)
        alone = encoder(encoder.collate([one])).states
        torch.testing.assert_close(alone[0, :length], together[row, :length], atol=1e-5, rtol=1e-5)


def test_an_answer_does_not_depend_on_the_others_in_its_batch(english: Path) -> None:
    writer = _writer(english)
    together = _write(writer, _pieces(SOUNDS))
    for piece, part in zip(_pieces(SOUNDS), together, strict=True):
        (alone,) = _write(writer, [piece])
        assert (alone.text, alone.language) == (part.text, part.language)
        for one, other in zip(alone.words, part.words, strict=True):
            assert one["word"] == other["word"]
            assert one["start"] == pytest.approx(other["start"], abs=0.021)
            assert one["confidence"] == pytest.approx(other["confidence"], abs=1e-4)


def test_words_follow_one_another_within_the_segment(english: Path) -> None:
    parts = _write(_writer(english), _pieces(SOUNDS, start=100.0))
    assert any(len(part.words) > 1 for part in parts)
    for part, heard in zip(parts, SOUNDS, strict=True):
        times = [time for word in part.words for time in (word["start"], word["end"])]
        assert times == sorted(times)
        assert all(100.0 <= time <= 100.0 + len(heard) / RATE + 0.001 for time in times)
        assert "".join(word["word"] for word in part.words) == "".join(part.text.split())
        assert all(0 < word["confidence"] <= 1 for word in part.words)


def test_silence_is_an_empty_transcript_without_asking_the_network(english: Path) -> None:
    parts = _write(_writer(english), [Piece(0.0, 1.5, None), *_pieces(SOUNDS[:1]), Piece(2.0, 1.0, None)])
    assert [bool(part.text) for part in parts] == [False, True, False]
    assert [part.end for part in parts] == pytest.approx([1.5, len(SOUNDS[0]) / RATE, 3.0])


def test_refuses_what_the_checkpoint_does_not_know(english: Path, multilingual: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="writes English"):
        _writer(english, language="de")
    with pytest.raises(SettingError, match="did you mean 'de'"):
        _writer(multilingual, language="dee")
    with pytest.raises(ArtifactError):
        load_network(tmp_path)


def test_a_loop_is_known_by_how_far_it_is_compressed() -> None:
    assert compression("so it goes " * 20) > 2.4 > compression("Please enter your password, followed by the pound key.")


def test_a_word_ends_where_a_pause_begins(english: Path) -> None:
    """The path through the decoder's attention gives every moment to some word; what is quiet is taken away."""
    heard = np.concatenate([sound(1, 0.6), np.zeros(RATE // 2, np.float32), sound(2, 0.6)])
    (part,) = _write(_writer(english), _pieces([heard]))
    for word in part.words:
        assert not 0.62 < word["start"] < 1.08
        assert not 0.62 < word["end"] < 1.08


def test_a_transcript_as_long_as_the_decoder_can_write_has_its_words(english: Path) -> None:
    writer = Writer(english, "cpu", TranscriptionSettings(precision="float32", max_new_tokens=1_000))
    for place in (writer.never, writer.never_first):
        place[writer.prompts.end] = -1e9  # it never ends
    (part,) = _write(writer, _pieces([sound(3, 1.9)]))
    assert part.cut
    assert len(part.text.replace(" ", "")) > 20
    assert part.words


def test_heads_that_a_distilled_checkpoint_has_from_its_teacher_are_not_taken(english: Path) -> None:
    network = load_network(english)
    network.generation_config.alignment_heads = [[1, 0], [10, 1]]
    assert alignment_heads(network) == [(1, 0), (1, 1)]


def test_a_multilingual_checkpoint_is_known_without_its_generation_config(multilingual: Path, tmp_path: Path) -> None:
    folder = tmp_path / "whisper"
    shutil.copytree(multilingual, folder)
    (folder / "generation_config.json").unlink()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": 51_865}))
    tokenizer = load_tokenizer(folder)
    assert list(prompts_of(folder, tokenizer).languages) == list(LANGUAGES)
    assert prompts_of(multilingual, tokenizer) == prompts_of(folder, tokenizer)
