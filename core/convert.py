"""Turns a pickled checkpoint into safetensors, in a process of its own that reads tensors only and then ends.

    python -P convert.py CHECKPOINT SAFETENSORS

It is the one place where a pickle is read, with torch's `weights_only`, and it never runs on a worker.
"""

from __future__ import annotations

import json
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

_WRAPPERS = ("state_dict_ema", "state_dict", "model_state_dict", "model")
_ORDER = "order"


def to_safetensors(checkpoint: Path, out: Path) -> list[str]:
    """Writes the tensors of `checkpoint` to `out`, and returns their names in the checkpoint's order.

    A checkpoint that wraps its weights (`state_dict`, `model`…) is unwrapped.
    Raises ArtifactError for a file that is no checkpoint, or holds more than tensors and plain values.
    """
    from safetensors import safe_open

    from brightspark.core.errors import ArtifactError

    # -P: the script finds installed libraries only, not the modules that stand beside it.
    command = [sys.executable, "-P", __file__, str(checkpoint), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - no shell
    if done.returncode != 0:
        said = [line for line in done.stderr.strip().splitlines() if line.strip()]
        raise ArtifactError(f"{checkpoint} could not be read as weights: {said[-1] if said else 'no reason was given'}")
    with safe_open(out, framework="pt") as opened:
        names: list[str] = json.loads(opened.metadata()[_ORDER])
    return names


def _main(checkpoint: str, out: str) -> None:
    import torch
    from safetensors.torch import save_file

    try:
        found: Any = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, KeyError, EOFError) as error:
        # torch's own words run over many lines and advise to unpickle it all the same.
        named = re.search(r"GLOBAL (\S+)", str(error))
        raise ValueError(
            "it is no checkpoint of tensors and plain values; anything else could run code, and is not opened "
            f"({f'it names {named.group(1)}' if named else 'not a format of torch.save'})"
        ) from None
    while isinstance(found, dict) and (
        inner := [found[name] for name in _WRAPPERS if isinstance(found.get(name), dict)]
    ):
        found = inner[0]
    items = found.items() if isinstance(found, dict) else ()
    tensors = {str(name).removeprefix("module."): value for name, value in items if torch.is_tensor(value)}
    if not tensors:
        raise ValueError("there are no named tensors in it")
    # Tensors that share memory (tied weights) are written out each: safetensors refuses to share.
    save_file(
        {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()},
        out,
        metadata={"format": "pt", _ORDER: json.dumps(list(tensors))},
    )


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2])
