"""Speech from the registry: what is said where, and networks that hear it."""

from __future__ import annotations

import csv
import json
import struct
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from brightspark import samples
from brightspark.core.errors import ArtifactError
from brightspark.samples import ctranslate2, whisper
from brightspark.samples.prompts import spoken


def rows(table: Path) -> list[dict[str, str]]:
    with table.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def sound(path: Path) -> tuple[Any, int]:
    import soundfile

    values, rate = soundfile.read(path, dtype="float32")
    assert values.ndim == 1
    return values, rate


def text(value: str) -> bytes:
    return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"


def model_bin(arrays: dict[str, Any], aliases: dict[str, str], *, version: int = 6, kind: int | None = None) -> bytes:
    """Arrays as CTranslate2 writes them."""
    number = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4}
    content = struct.pack("<I", version) + text("WhisperSpec") + struct.pack("<II", 3, len(arrays))
    for name, array in arrays.items():
        content += text(name) + struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape)
        content += (
            struct.pack("<BI", number[str(array.dtype)] if kind is None else kind, array.nbytes) + array.tobytes()
        )
    content += struct.pack("<I", len(aliases))
    return content + b"".join(text(alias) + text(name) for alias, name in aliases.items())


def test_ctranslate2s_arrays_come_back_as_they_were() -> None:
    arrays = {
        "a/weight": np.arange(6, dtype="float16").reshape(2, 3),
        "b/heads": np.asarray(6, dtype="int16"),
        "c/norm": np.ones(1, dtype="float32"),
    }
    found = ctranslate2.read(model_bin(arrays, {"d/weight": "a/weight"}), "WhisperSpec")
    assert list(found) == [*arrays, "d/weight"]
    for name, array in (arrays | {"d/weight": arrays["a/weight"]}).items():
        np.testing.assert_array_equal(found[name], array, strict=True)


def test_what_is_no_whisper_of_ctranslate2s_is_refused() -> None:
    arrays = {"a": np.ones(3, dtype="float32")}
    content = model_bin(arrays, {})
    for length in range(len(content)):
        with pytest.raises(ArtifactError, match=r"cut short|This is no WhisperSpec"):
            ctranslate2.read(content[:length], "WhisperSpec")
    with pytest.raises(ArtifactError, match=r"format 5, specification unknown"):
        ctranslate2.read(model_bin(arrays, {}, version=5), "WhisperSpec")
    with pytest.raises(ArtifactError, match=r"This is no TransformerSpec .* specification WhisperSpec"):
        ctranslate2.read(content, "TransformerSpec")
    with pytest.raises(ArtifactError, match=r"a has numbers of CTranslate2's type 5"):
        ctranslate2.read(model_bin(arrays, {}, kind=5), "WhisperSpec")
    with pytest.raises(ArtifactError, match=r"a has 6 numbers and says that its shape is \[3\]"):
        ctranslate2.read(model_bin(arrays, {}, kind=4), "WhisperSpec")


def test_stacked_projections_are_taken_apart() -> None:
    bias = np.asarray([1, 2, 0, 0, 3, 4], dtype="float16")
    name = "encoder/layer_2/self_attention/linear_0/bias"
    found = whisper._of_transformers(name, bias)
    prefix = "model.encoder.layers.2.self_attn"
    assert {key: part.tolist() for key, part in found.items()} == {
        f"{prefix}.q_proj.bias": [1, 2],
        f"{prefix}.v_proj.bias": [3, 4],
    }
    with pytest.raises(ArtifactError, match=r"linear_0/bias moves the keys"):
        whisper._of_transformers(name, bias + 1)
    with pytest.raises(ArtifactError, match=r"has encoder/conv9/weight, which transformers' has no place for"):
        whisper._of_transformers("encoder/conv9/weight", bias)


def test_what_stands_in_brackets_is_not_spoken() -> None:
    lines = """; English

tone: [ascending  tones]
join: <beep ascending>
silence/1: (1 second of silence)
letters/dash: dash [-]
spy-iax2: IAX (note: does not say "2")
who: I have a caller waiting,  who introduces themselves as:
"""
    assert spoken(lines) == {
        "tone": "",
        "join": "",
        "silence/1": "",
        "letters/dash": "dash",
        "spy-iax2": "IAX",
        "who": "I have a caller waiting, who introduces themselves as:",
    }


@pytest.mark.samples
def test_recordings_are_there_in_nine_languages() -> None:
    folder = samples.recordings()
    found = rows(folder / "recordings.csv")
    assert [row["path"] for row in found] == sorted(str(path.relative_to(folder)) for path in folder.rglob("*.wav"))
    assert set(Counter(row["language"] for row in found).values()) == {3}
    assert len({row["language"] for row in found}) == 9
    assert all(row["path"].startswith(f"{row['language']}/") for row in found)
    assert {row["path"]: row["text"] for row in found}["zh/nihao_shijie.wav"] == "你好世界。"
    sounds = [sound(folder / row["path"]) for row in found]
    assert {rate for _, rate in sounds} == {16_000}
    assert sum(len(values) for values, _ in sounds) / 16_000 == pytest.approx(71.6, abs=0.05)  # s


@pytest.mark.samples
def test_prompts_have_a_sound_and_a_text_each() -> None:
    folder = samples.prompts()
    found = rows(folder / "prompts.csv")
    assert len(found) == 551
    assert [row["path"] for row in found] == sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*.wav")
    )
    texts = {row["path"]: row["text"] for row in found}
    assert all(value and value == value.strip() and not set(value) & set("[]<>()") for value in texts.values())
    assert (texts["digits/at.wav"], texts["letters/at.wav"], texts["hello-world.wav"]) == ("at", "at", "Hello world.")
    sounds = [sound(folder / row["path"]) for row in found]
    assert {rate for _, rate in sounds} == {8_000}
    assert sum(len(values) for values, _ in sounds) / 8_000 / 60 == pytest.approx(24.3, abs=0.05)  # minutes


@pytest.mark.samples
@pytest.mark.slow
def test_transformers_opens_whisper_which_writes_down_what_it_hears() -> None:
    import torch
    import transformers

    folder = samples.model("whisper-tiny.en")
    network, found = transformers.WhisperForConditionalGeneration.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True
    )
    assert {what: list(names) for what, names in found.items() if names} == {}
    assert sum(weights.numel() for weights in network.parameters()) == 37_760_256
    processor = transformers.AutoProcessor.from_pretrained(folder)
    assert processor.tokenizer("hello").input_ids == [50257, 50362, 31373, 50256]

    path = samples.recordings() / "en" / "quick_brown_fox.wav"
    values, rate = sound(path)
    features = processor(values, sampling_rate=rate, return_tensors="pt").input_features
    said = " The quick brown fox jumps over the lazy dog."
    assert processor.batch_decode(network.generate(features), skip_special_tokens=True) == [said]

    timed = network.generate(features, return_timestamps=True)[0].tolist()
    [segment] = processor.tokenizer.decode(timed, output_offsets=True)["offsets"]
    assert segment == {"text": said, "timestamp": (0.0, pytest.approx(len(values) / rate, abs=0.5))}
    words = network.generate(features, return_token_timestamps=True)["token_timestamps"][0].tolist()
    assert words == sorted(words)
    assert 0.3 < words[2] < 1.0  # s, where "brown" begins


@pytest.mark.samples
def test_silero_vad_hears_speech_and_no_noise() -> None:
    import torch
    from safetensors.torch import load_file
    from torch.nn.functional import conv1d, pad

    folder = samples.model("silero-vad")
    weights, facts = load_file(folder / "model.safetensors"), json.loads((folder / "config.json").read_text())
    lstm = torch.nn.LSTM(facts["hidden_size"], facts["hidden_size"])
    gates = {name: values for name, values in weights.items() if name.startswith("lstm_cell.")}
    lstm.load_state_dict({f"{name.removeprefix('lstm_cell.')}_l0": values for name, values in gates.items()})

    @torch.inference_mode()
    def probabilities(values: Any) -> Any:
        window, context = facts["window"], facts["context"]
        padded = pad(torch.as_tensor(values), (context, -len(values) % window))
        windows = pad(padded.unfold(0, context + window, window).unsqueeze(1), (0, facts["reflect_pad"]), "reflect")
        real, imaginary = conv1d(windows, weights["stft_conv.weight"], stride=facts["hop_length"]).chunk(2, dim=1)
        assert 2 * (real.shape[1] - 1) == facts["n_fft"]
        maps = (real**2 + imaginary**2).sqrt()
        for number, stride in enumerate(facts["strides"], start=1):
            name = f"conv{number}"
            maps = conv1d(maps, weights[f"{name}.weight"], weights[f"{name}.bias"], stride=stride, padding=1).relu()
        states = lstm(maps.squeeze(-1))[0].relu().unsqueeze(-1)
        return conv1d(states, weights["final_conv.weight"], weights["final_conv.bias"]).sigmoid().flatten()

    spoken_windows = 0
    for row in rows(samples.recordings() / "recordings.csv"):
        values, rate = sound(samples.recordings() / row["path"])
        assert rate == facts["sample_rate"]
        heard = probabilities(values)
        assert heard.max() > 0.99
        spoken_windows += int((heard > 0.5).sum())
    assert spoken_windows * facts["window"] / facts["sample_rate"] > 0.7 * 71.6  # s
    noise = np.random.default_rng(0).normal(0, 0.05, facts["sample_rate"]).astype("float32")
    assert probabilities(noise).max() < 0.1
    assert probabilities(np.zeros_like(noise)).max() < 0.1
