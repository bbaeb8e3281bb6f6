"""Where fine-tuning starts: a sequence classifier with an output for each label, as a folder. Knows no Spark."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file, save_file

from brightspark.core import cache
from brightspark.core.batches import seed_everything
from brightspark.core.checkpoint import find_start
from brightspark.core.checkpoint_network import load_config, load_tokenizer, open_network, quiet
from brightspark.core.errors import ArtifactError, InputError
from brightspark.nlp.fit_settings import TextFitSettings
from brightspark.nlp.lora import merged
from brightspark.nlp.model import KIND
from brightspark.nlp.tokens import check_cuts

WEIGHTS = "model.safetensors"
PREFIX = "network."  # of the names of the weights that are trained


def origin(settings: TextFitSettings) -> str:
    """The digest of the files that training starts with; raises InputError for a name that nobody knows."""
    if not settings.checkpoint:
        raise InputError("name the checkpoint to start with: TextClassifier('microsoft/MiniLM-L12-H384-uncased')")
    return find_start(settings.checkpoint, kind=KIND, solution="nlp").digest


def write_start(folder: Path, settings: TextFitSettings, labels: Sequence[str], *, multi_label: bool) -> None:
    """Writes the classifier that training starts with to `folder`, as transformers has it, unless it is there already.

    Its head is new, unless the checkpoint knows these very labels.
    Raises InputError for a name that nobody knows, ArtifactError for a checkpoint that has no classifier.
    """
    if folder.exists():
        return
    artifact = find_start(settings.checkpoint, kind=KIND, solution="nlp")
    source = cache.keep(artifact.address, artifact.digest, artifact.files)
    tokenizer = load_tokenizer(source)
    check_cuts(tokenizer)  # the trained model will, and a night later
    seed_everything(settings.seed)
    network = _classifier(source, labels, multi_label=multi_label)
    if network.config.pad_token_id is None:
        network.config.pad_token_id = tokenizer.pad_token_id
    save_start(folder, network, tokenizer)


def save_start(folder: Path, network: Any, tokenizer: Any) -> None:
    """Writes a network and its tokenizer to `folder`, as transformers has them: beside it, and renamed into place."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    with quiet():
        network.save_pretrained(made, max_shard_size="1TB")
    tokenizer.save_pretrained(made)
    made.chmod(0o755)
    made.rename(folder)


def write_trained(start: Path, weights: Path, folder: Path, adapted: Any = None) -> None:
    """Puts the trained weights into `folder`, beside configuration and tokenizer of what training started with.

    Where adapters were trained, `adapted` is that network with them (`brightspark.nlp.lora.adapt`): they are merged.
    """
    folder.mkdir(exist_ok=True)
    for file in start.iterdir():
        if file.name != WEIGHTS:
            shutil.copyfile(file, folder / file.name)
    kept = load_file(start / WEIGHTS).keys()  # without those that transformers ties to others
    trained = {name.removeprefix(PREFIX): tensor for name, tensor in load_file(weights).items()}
    if adapted is not None:
        trained = merged(adapted, trained)
    save_file({name: trained[name].contiguous() for name in kept}, folder / WEIGHTS, metadata={"format": "pt"})


def _classifier(source: Path, labels: Sequence[str], *, multi_label: bool) -> Any:
    config = load_config(source)
    same = config.num_labels == len(labels) and [config.id2label[n] for n in range(len(labels))] == list(labels)
    config.id2label = dict(enumerate(labels))
    config.label2id = {name: number for number, name in enumerate(labels)}
    config.problem_type = "multi_label_classification" if multi_label else "single_label_classification"
    network, missing = open_network(
        transformers.AutoModelForSequenceClassification,
        source,
        "a text classifier, or an encoder,",
        config,
        ignore_mismatched_sizes=True,
    )
    lacking = [name for name in missing if name.startswith(f"{network.base_model_prefix}.")]
    if lacking:
        raise ArtifactError(f"the weights of {source} lack {lacking[0]}: they are of another network")
    if not same:
        _renew_head(network)
    return network


def _renew_head(network: Any) -> None:
    """Gives the outputs new weights: those of other labels would be as good as chance, and not the seed's."""
    for name, module in network.named_modules():
        if name in ("classifier", "score", "classifier.out_proj") and isinstance(module, torch.nn.Linear):
            torch.nn.init.normal_(module.weight, std=0.02)
            if module.bias is not None:
                torch.nn.init.zeros_(module.bias)
