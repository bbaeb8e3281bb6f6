"""Where in a picture a network finds a class: captum's Grad-CAM, for any timm network over a grid. Knows no Spark.

Selvaraju et al. 2017, "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization",
https://arxiv.org/abs/1610.02391
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from captum.attr import LayerAttribution, LayerGradCam  # type: ignore[import-untyped]
from timm.data import resolve_model_data_config
from torch.nn import Identity, Module

from brightspark.core.errors import ArtifactError
from brightspark.core.precision import gradients
from brightspark.vision.layout import NoGridError, layout_of

PREDICTED = -1  # in the place of a class's index: the class that the network predicts


class GradCam:
    """Grad-CAM of a timm network's logits, over the last layer that lays a picture out and from which the answer comes.

    That layer is, of these, the first at which the gradient reaches the grid:

    - the features before the head: convolutional networks, and transformers that pool over their tokens;
    - the output of the last block: networks that read their class token from the grid afterwards (CaiT, XCiT);
    - the first norm of the last block: networks whose last block reads the class token from the grid (ViT, DeiT, BEiT).

    The network must be in eval mode. Raises ArtifactError where there is no such layer.
    """

    def __init__(self, network: Module) -> None:
        self._network: Any = network  # torch's Module does not know timm's methods
        self._input_size = resolve_model_data_config(network)["input_size"]
        self._features = _Features(network)
        self._grid = Identity()  # the layer that captum sees: whatever the layout, channels stand before the grid
        self.layer = self._find_layer()

    def __call__(self, batch: torch.Tensor, wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The classes that are explained, by index, and their maps in the pictures' size: images × height × width.

        `wanted` has a class's index for each picture, or PREDICTED. A map is nowhere negative; it is zero everywhere
        where nothing in the picture speaks for the class. Runs in float32, also under inference mode and autocast.
        Raises ArithmeticError where the network's answer is not a number.
        """
        with gradients(batch.device.type):
            classes, maps = self._explain(batch, wanted)
            scaled = LayerAttribution.interpolate(maps.relu(), tuple(batch.shape[-2:]), "bilinear")
        return classes, scaled[:, 0]

    def _explain(self, batch: torch.Tensor, wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The classes, and their signed maps in the layer's own size."""
        explained: list[torch.Tensor] = []

        def logit(batch: torch.Tensor) -> torch.Tensor:
            logits = self._network.forward_head(self._features(batch))
            if not logits.isfinite().all():
                raise ArithmeticError("the network's answer is not a number")
            explained.append(torch.where(wanted == PREDICTED, logits.argmax(dim=1), wanted))
            chosen: torch.Tensor = logits.gather(1, explained[0][:, None])[:, 0]
            return chosen

        maps: torch.Tensor = LayerGradCam(logit, self._grid).attribute(batch)
        return explained[0], maps.detach()

    def _find_layer(self) -> str:
        for name, module in self._candidates():
            hook = module.register_forward_hook(self._through_grid)
            if self._reaches_grid():
                return name
            hook.remove()
        raise ArtifactError(
            f"{type(self._network).__name__} has no layer in which the picture still lies in a grid from which the "
            "answer comes: Grad-CAM explains convolutional networks, and transformers over patches"
        )

    def _candidates(self) -> Iterator[tuple[str, Module]]:
        yield "forward_features", self._features
        stages = getattr(self._network, "feature_info", None)
        if not stages:
            return
        name = stages[-1]["module"]
        block = self._network.get_submodule(name)
        yield name, block
        if hasattr(block, "norm1"):
            yield f"{name}.norm1", block.norm1

    def _through_grid(self, module: Module, inputs: Any, output: Any) -> torch.Tensor:
        _, height, width = self._input_size
        prefix = getattr(self._network, "num_prefix_tokens", 0)
        layout = layout_of(output, channels=self._network.num_features, prefix=prefix, aspect=height / width)
        laid: torch.Tensor = layout.back(output, self._grid(layout.forth(output)))
        return laid

    def _reaches_grid(self) -> bool:
        """Whether the gradient of a logit does, tried on a picture of noise."""
        noise = torch.Generator().manual_seed(0)
        device = next(self._network.parameters()).device
        picture = torch.randn(1, *self._input_size, generator=noise).to(device)
        try:
            with gradients(device.type):
                _, maps = self._explain(picture, torch.tensor([PREDICTED], device=device))
        # The others: features that are no tensor, a network without forward_head, and (captum's) a layer never called.
        except (NoGridError, AttributeError, TypeError, AssertionError):
            return False
        return maps.numel() > 1 and bool(maps.any())


class _Features(Module):
    """timm's `forward_features` as a module, so that its output can be hooked as any layer's."""

    def __init__(self, network: Module) -> None:
        super().__init__()
        self.network: Any = network

    def forward(self, batch: torch.Tensor) -> Any:
        return self.network.forward_features(batch)
