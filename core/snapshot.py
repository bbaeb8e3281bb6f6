"""The state of a training on disk: whole or not there, safetensors and JSON, the last few kept. Knows no Spark."""

from __future__ import annotations

import json
import logging
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from brightspark.core.errors import InputError, StorageError, one_line

_log = logging.getLogger(__name__)

TENSORS, REST = "state.safetensors", "state.json"
FORMAT_VERSION = 1
_TENSOR = "__tensor__"  # in state.json: the tensor of that name stands in the safetensors file
_NUMBERED = "__numbered__"  # in state.json: a mapping whose keys are integers, which JSON does not have


def save(folder: Path, step: int, state: Mapping[str, Any], *, keep: int) -> Path:
    """Writes `state` (nested mappings and lists of tensors, numbers, strings) as the snapshot of a step.

    It is written beside and renamed, so that a reader finds all of it or nothing; of the older ones `keep - 1` stay.
    Raises StorageError where it cannot be written, or where `folder` (see `prepare`) has vanished; the earlier
    snapshots are as they were then.
    """
    target = folder / f"step-{step:010d}"
    beside = folder / f".{target.name}-{uuid.uuid4().hex[:8]}"
    tensors: dict[str, torch.Tensor] = {}
    rest = {"format_version": FORMAT_VERSION, "step": step, "state": _without_tensors(state, "", tensors)}
    if not folder.is_dir():
        raise StorageError(
            f"{folder} has vanished, with all snapshots of this training: was it deleted, or its disk unmounted? "
            "Where it comes back, training can go on from there"
        )
    try:
        beside.mkdir()
        save_file(apart(tensors), beside / TENSORS)
        (beside / REST).write_text(json.dumps(rest), encoding="utf-8")
        for name in (TENSORS, REST):
            _to_disk(beside / name)
        shutil.rmtree(target, ignore_errors=True)  # of an earlier run that was set back
        beside.rename(target)
    except (OSError, SafetensorError) as error:
        raise StorageError(
            f"the snapshot of step {step} cannot be written to {folder} ({one_line(error)}); training can go on from "
            f"{_named(newest(folder))}"
        ) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    found = _snapshots(folder)
    place = found.index(target)
    for other in found[:place] + found[place + keep :]:  # newer ones are damaged, or were passed over for this one
        shutil.rmtree(other, ignore_errors=True)
    return target


def prepare(folder: Path) -> None:
    """Makes the folder of a training's snapshots, and clears away what a process left that was killed writing one."""
    folder.mkdir(parents=True, exist_ok=True)
    for half in folder.glob(".step-*"):
        shutil.rmtree(half, ignore_errors=True)


def newest(folder: Path) -> Path | None:
    """The newest whole snapshot; what is damaged is passed over, and the log says so."""
    for found in _snapshots(folder):
        try:
            _read(found)
        except (OSError, ValueError, SafetensorError, InputError) as error:
            _log.warning("the snapshot %s is passed over: %s", found, one_line(error))
            continue
        return found
    return None


def load(snapshot: Path) -> dict[str, Any]:
    """The state as it was given to `save`, its tensors on the CPU.

    Raises InputError where the snapshot is damaged or of another format version.
    """
    try:
        rest, header = _read(snapshot)
        with safe_open(snapshot / TENSORS, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in header}
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError(f"the snapshot {snapshot} cannot be read: {one_line(error)}") from error
    state: dict[str, Any] = _with_tensors(rest["state"], tensors)
    return state


def _snapshots(folder: Path) -> list[Path]:
    """The snapshots of a folder, the newest first."""
    return sorted(folder.glob("step-*"), reverse=True)


def _named(snapshot: Path | None) -> str:
    return "its beginning" if snapshot is None else str(snapshot)


def _read(snapshot: Path) -> tuple[dict[str, Any], list[str]]:
    """state.json, and the names of the tensors; opening the file checks that it is as long as its header says."""
    rest: dict[str, Any] = json.loads((snapshot / REST).read_text(encoding="utf-8"))
    if rest.get("format_version") != FORMAT_VERSION:
        raise InputError(f"{snapshot} has format version {rest.get('format_version')!r}, not {FORMAT_VERSION}")
    with safe_open(snapshot / TENSORS, framework="pt") as file:
        names = list(file.keys())
    missing = set(_tensor_names(rest["state"])) - set(names)
    if missing:
        raise InputError(f"{snapshot}/{TENSORS} lacks {sorted(missing)[0]}")
    return rest, names


def _without_tensors(value: Any, path: str, tensors: dict[str, torch.Tensor]) -> Any:
    """`value` for JSON, its tensors put into `tensors` by their path."""
    if isinstance(value, torch.Tensor):
        tensors[path] = value.detach().cpu().contiguous()
        return {_TENSOR: path}
    if isinstance(value, Mapping):
        inner = {str(name): _without_tensors(part, f"{path}/{name}", tensors) for name, part in value.items()}
        return {_NUMBERED: inner} if any(isinstance(name, int) for name in value) else inner
    if isinstance(value, list | tuple):
        return [_without_tensors(part, f"{path}/{number}", tensors) for number, part in enumerate(value)]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{path} is a {type(value).__name__}, which a snapshot cannot hold")


def apart(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors, each with memory of its own: tied weights share theirs, which the format refuses."""
    seen: set[int] = set()
    apart = {}
    for name, tensor in tensors.items():
        memory = tensor.untyped_storage().data_ptr()
        apart[name] = tensor.clone() if memory in seen else tensor
        seen.add(memory)
    return apart


def _with_tensors(value: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    if isinstance(value, dict):
        if _TENSOR in value:
            return tensors[value[_TENSOR]]
        if _NUMBERED in value:
            return {int(name): _with_tensors(part, tensors) for name, part in value[_NUMBERED].items()}
        return {name: _with_tensors(part, tensors) for name, part in value.items()}
    if isinstance(value, list):
        return [_with_tensors(part, tensors) for part in value]
    return value


def _tensor_names(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if _TENSOR in value:
            yield value[_TENSOR]
            return
        for part in value.values():
            yield from _tensor_names(part)
    elif isinstance(value, list):
        for part in value:
            yield from _tensor_names(part)


def _to_disk(file: Path) -> None:
    """Waits until a file is on the disk: a rename may outlive a power cut that the bytes do not."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
