"""In which numbers a model computes, and what running out of memory looks like."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from brightspark.core.errors import SettingError, did_you_mean

if TYPE_CHECKING:
    import torch

PRECISIONS = ("auto", "float32", "bfloat16", "float16")


def check_precision(precision: str) -> None:
    """Raises SettingError for a precision that is none of PRECISIONS."""
    if precision not in PRECISIONS:
        raise SettingError(f"precision={precision!r} is unknown; {did_you_mean(precision, PRECISIONS)}")


@cache
def resolve_precision(precision: str, device: str) -> str:
    """`auto` as the precision that it stands for on this device: bfloat16 where the hardware is fast at it."""
    check_precision(precision)
    if precision != "auto":
        return precision
    return "bfloat16" if _fast_bfloat16(device) else "float32"


def _fast_bfloat16(device: str) -> bool:
    """Whether bfloat16 has instructions of its own: emulated, it is slower than float32."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.get_device_capability(torch.device(device)) >= (8, 0)
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


@contextmanager
def inference(module: torch.nn.Module | None, device: str, precision: str) -> Iterator[None]:
    """Inference mode and autocast, for a predictor that holds a network; nothing for one that does not."""
    if module is None:
        yield
        return
    import torch

    chosen = resolve_precision(precision, device)
    with (
        torch.inference_mode(),
        torch.autocast(
            device.partition(":")[0],
            dtype=torch.bfloat16 if chosen == "float32" else getattr(torch, chosen),
            enabled=chosen != "float32",
        ),
    ):
        yield


@contextmanager
def gradients(device: str) -> Iterator[None]:
    """Gradients in float32 within the engine's inference mode and autocast, for a predictor that explains.

    The batch must have been prepared outside of inference mode, as the engine does.
    """
    import torch

    with torch.inference_mode(False), torch.enable_grad(), torch.autocast(device.partition(":")[0], enabled=False):
        yield


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on the device or in the process."""
    if isinstance(error, MemoryError):
        return True
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(error, torch.OutOfMemoryError):
        return True
    # The CPU's allocator raises a plain RuntimeError.
    return isinstance(error, RuntimeError) and (
        "out of memory" in str(error).lower() or "can't allocate memory" in str(error)
    )


def release_memory(device: str) -> None:
    """Gives cached blocks back to the device, so that a smaller batch finds room."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.empty_cache()
