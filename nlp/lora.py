"""Low-rank adapters (LoRA) by peft: put into a network, trained alone, and merged into its weights in the end.

Knows torch and peft, no Spark. What is merged is a plain checkpoint again: only training needs peft.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch

from brightspark.core.errors import MissingExtraError, SettingError, did_you_mean, one_line
from brightspark.nlp.lora_settings import ALL_LINEAR, LoraSettings

ADAPTER = "default"  # peft's name for the only one


def adapt(network: Any, settings: LoraSettings, whole: Collection[str] = ()) -> Any:
    """Puts adapters into a network of transformers; returns peft's LoraModel, whose `model` the network is.

    They and the parameters named in `whole` learn, everything else is frozen. Raises SettingError for targets that are
    not in the network, MissingExtraError without peft.
    """
    try:
        from peft import LoraConfig, LoraModel
        from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as USUAL
    except ImportError as error:
        raise MissingExtraError(f"LoRA needs {error.name}: pip install 'brightspark[nlp]'") from error

    assert settings.lora_rank is not None
    config = LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,  # type: ignore[arg-type] # any number works
        lora_dropout=settings.lora_dropout,
        target_modules=_targets(network, settings.lora_targets, USUAL),
        exclude_modules="|".join(re.escape(name.rpartition(".")[0]) for name in whole) or None,
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of layouts that peft finds out by itself
            adapted = LoraModel(network, config, ADAPTER)
    except ValueError as error:
        raise SettingError(f"lora_targets={settings.lora_targets!r} cannot be: {one_line(error)}") from error
    for name, parameter in network.named_parameters():
        if name in whole:
            parameter.requires_grad_(True)
    return adapted


def merged(adapted: Any, learned: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """All weights of a network that `adapt` has made a LoraModel of, with what was learned in place and merged."""
    network = adapted.model
    missing, unexpected = network.load_state_dict(learned, strict=False)
    frozen = _frozen_names(network)
    assert not unexpected, unexpected
    assert set(missing) <= frozen, set(missing) - frozen
    adapted.merge_and_unload(safe_merge=True)
    weights: dict[str, torch.Tensor] = network.state_dict()
    return weights


def is_frozen(module: torch.nn.Module) -> Callable[[str], bool]:
    """What a Task asks for as `frozen`, where it is said by the parameters already."""
    return _frozen_names(module).__contains__


def only_learned(module: torch.nn.Module) -> None:
    """Keeps frozen parameters out of a module's `state_dict`, and out of what it misses when one is loaded.

    Snapshots and kept weights are then as small as what is learned. The frozen ones are those that the module is built
    with, each time.
    """
    module.register_state_dict_post_hook(_without_frozen)  # type: ignore[no-untyped-call]
    module.register_load_state_dict_post_hook(_not_missed)  # type: ignore[no-untyped-call]


def _without_frozen(module: torch.nn.Module, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    for name in _frozen_names(module):
        state.pop(f"{prefix}{name}", None)


def _not_missed(module: torch.nn.Module, keys: Any) -> None:
    frozen = _frozen_names(module)
    # An average of the weights holds the module as its `module`.
    keys.missing_keys[:] = [name for name in keys.missing_keys if name.removeprefix("module.") not in frozen]


def _frozen_names(module: torch.nn.Module) -> frozenset[str]:
    """Names of frozen parameters; one that is tied to another has each of its names."""
    named = module.named_parameters(remove_duplicate=False)
    return frozenset(name for name, parameter in named if not parameter.requires_grad)


def _targets(network: Any, named: Sequence[str] | None, usual: Collection[str]) -> list[str] | str | None:
    """The layers that get adapters, in peft's words; None for those that it has for the kind of network."""
    if named is None:
        return None if network.config.model_type in usual else ALL_LINEAR
    if list(named) == [ALL_LINEAR]:
        return ALL_LINEAR
    layers = dict(network.named_modules())
    for target in named:
        if not any(f".{name}".endswith(f".{target}") for name in layers):
            known = sorted({name.rpartition(".")[2] for name, layer in layers.items() if _is_matrix(layer)})
            raise SettingError(f"lora_targets: the network has no layer {target!r}; {did_you_mean(target, known)}")
    return list(named)


def _is_matrix(layer: torch.nn.Module) -> bool:
    return isinstance(layer, torch.nn.Linear) or type(layer).__name__ == "Conv1D"
