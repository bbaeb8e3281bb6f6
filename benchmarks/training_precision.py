"""Seconds of a training step in float32 and in bfloat16, by network: `python benchmarks/training_precision.py`.

What `precision="auto"` should stand for when training on a CPU: forward, loss and backward of one batch, channels last,
under the autocast that the training loop has, both precisions in turn in each round. A step's loader and optimiser cost
the same in both and are left out. `depthwise` is the share of multiplications in convolutions that those do with
one input channel a group.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import machine
import timm
import torch
from ratios import ratio, spread

from brightspark.core.cross_entropy import cross_entropy
from brightspark.core.precision import resolve_precision

NETWORKS = ("resnet18", "efficientnet_lite0", "mobilenetv3_small_050", "convnext_atto", "vit_tiny_patch16_224")
BATCHES = {96: 64, 224: 16}  # pixels → pictures in a batch
CLASSES = 10
PRECISIONS = ("float32", "bfloat16")
RESULT = Path(__file__).parent / "results" / "training_precision.json"


def main() -> None:
    """Measure, print and keep."""
    options = arguments()
    torch.set_num_threads(options.threads)
    described = machine.describe()
    print(machine.headline(described))
    print(f"{options.threads} threads; auto is {resolve_precision('auto', 'cpu')}")
    print("| network | pixels | batch | depthwise | float32, s | bfloat16, s | bfloat16 ÷ float32 |\n|" + " --- |" * 7)
    found = []
    for size, batch in BATCHES.items():
        for name in options.network:
            found.append(compare(name, size, batch, options.rounds))
            print(as_row(found[-1]), flush=True)
    if options.network == list(NETWORKS):
        kept = {"machine": described, "threads": options.threads, "steps": found}
        RESULT.write_text(json.dumps(kept, indent=1) + "\n")


def compare(name: str, size: int, batch: int, rounds: int) -> dict[str, Any]:
    """The seconds of each round, after one that is not counted."""
    torch.manual_seed(0)
    options = {"img_size": size} if name.startswith("vit") else {}
    network = timm.create_model(name, num_classes=CLASSES, **options).to(memory_format=torch.channels_last)
    pixels = torch.randn(batch, 3, size, size).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(CLASSES, (batch,))
    seconds: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
    for number in range(rounds + 1):
        for precision in PRECISIONS if number % 2 else PRECISIONS[::-1]:
            took = step(network, pixels, labels, precision)
            if number:
                seconds[precision].append(took)
    return {
        "network": name, "pixels": size, "batch": batch, "depthwise": depthwise_share(network, pixels[:1]),
        "seconds": seconds,
    }  # fmt: skip


def step(network: torch.nn.Module, pixels: torch.Tensor, labels: torch.Tensor, precision: str) -> float:
    """The seconds of one forward, loss and backward."""
    network.zero_grad(set_to_none=True)
    started = time.perf_counter()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16"):
        loss = cross_entropy(network(pixels), labels)
    (loss.total / loss.weight).backward()
    return time.perf_counter() - started


@torch.inference_mode()
def depthwise_share(network: torch.nn.Module, picture: torch.Tensor) -> float:
    """Of all multiplications in convolutions, those of the ones with a single input channel a group."""
    found = {True: 0, False: 0}

    def count(module: Any, _: Any, output: torch.Tensor) -> None:
        found[module.in_channels > 1 and module.groups == module.in_channels] += (
            output.numel() * module.weight[0].numel()
        )

    hooks = [one.register_forward_hook(count) for one in network.modules() if isinstance(one, torch.nn.Conv2d)]
    network.eval()(picture)
    network.train()
    for hook in hooks:
        hook.remove()
    return found[True] / sum(found.values())


def as_row(found: dict[str, Any]) -> str:
    """A line of a Markdown table."""
    exact, fast = (found["seconds"][precision] for precision in PRECISIONS)
    ratios = ratio(dict(enumerate(fast)), dict(enumerate(exact)))
    seconds = " | ".join(f"{spread(each).median:.3f}" for each in (exact, fast))
    told = f"{found['network']} | {found['pixels']} | {found['batch']} | {found['depthwise']:.0%}"
    return f"| {told} | {seconds} | {ratios} |"


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--network", nargs="+", default=list(NETWORKS), help="other timm names: a look, not kept")
    return parser.parse_args()


if __name__ == "__main__":
    main()
