"""Heat maps are Grad-CAM's own, whatever the network, its layout, the batch and the engine's mode around them."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from brightspark import samples
from brightspark.core.errors import ArtifactError
from brightspark.core.precision import inference
from brightspark.vision.deletion import delete_parts
from brightspark.vision.grad_cam import PREDICTED, GradCam
from brightspark.vision.heat_map import draw_heat
from brightspark.vision.layout import NoGridError, layout_of
from brightspark.vision.network import load_network
from brightspark.vision.preprocessing import Preprocessing
from tests.vision.networks import open_picture

TOLERANCE = 1e-5  # of a map's maximum
WIDE = (48, 80)  # height and width: neither a layout nor an aspect may be taken for another

Grid = Callable[[torch.Tensor], torch.Tensor]


def channels_first(output: torch.Tensor) -> torch.Tensor:
    return output


def channels_last(output: torch.Tensor) -> torch.Tensor:
    return output.movedim(3, 1)


def patches(height: int, width: int, *, after: int) -> Grid:
    """Tokens row by row, one by one, the first few left out."""

    def grid(output: torch.Tensor) -> torch.Tensor:
        rows = [output[:, after + row * width : after + (row + 1) * width] for row in range(height)]
        return torch.stack(rows, dim=1).movedim(3, 1)

    return grid


VIT: dict[str, Any] = {"patch_size": 8, "embed_dim": 32, "depth": 3, "num_heads": 2}
SWIN: dict[str, Any] = {"patch_size": 4, "window_size": 2, "embed_dim": 16, "depths": (1, 1), "num_heads": (1, 2)}

# The architecture, its arguments, the layer (by hand) that is explained, and how its output lies.
NETWORKS: dict[str, tuple[str, dict[str, Any], str, Grid]] = {
    "EfficientNet": ("test_efficientnet", {}, "bn2", channels_first),
    "ResNet": ("test_resnet", {}, "layer4", channels_first),
    "ConvNeXt": ("test_convnext", {}, "stages.3", channels_first),
    "MobileNetV3": ("mobilenetv3_small_050", {}, "blocks.5", channels_first),
    "Swin": ("swin_tiny_patch4_window7_224", SWIN, "norm", channels_last),
    "ViT": ("vit_tiny_patch16_224", VIT, "blocks.2.norm1", patches(6, 10, after=1)),
    "ViT with registers": ("vit_tiny_patch16_224", {**VIT, "reg_tokens": 3}, "blocks.2.norm1", patches(6, 10, after=4)),
    "ViT that pools": (
        "vit_tiny_patch16_224", {**VIT, "global_pool": "avg", "class_token": False}, "norm", patches(6, 10, after=0)
    ),
    "DeiT, distilled": ("deit_tiny_distilled_patch16_224", VIT, "blocks.2.norm1", patches(6, 10, after=2)),
    "CaiT": ("cait_xxs24_224", {**VIT, "depth_token_only": 1}, "blocks.2", patches(6, 10, after=0)),
}  # fmt: skip


def make(architecture: str, arguments: dict[str, Any]) -> torch.nn.Module:
    """The architecture with seeded weights and a picture of WIDE, as `load_network` gives it."""
    torch.manual_seed(0)
    by_size = {"img_size": WIDE} if "patch_size" in arguments else {}
    network = timm.create_model(architecture, num_classes=5, **arguments, **by_size)
    network.pretrained_cfg = {**network.pretrained_cfg, "input_size": (3, *WIDE)}
    return network.requires_grad_(False).eval()


def noise(count: int, *, seed: int = 1) -> torch.Tensor:
    return torch.randn(count, 3, *WIDE, generator=torch.Generator().manual_seed(seed))


def by_hand(network: torch.nn.Module, layer: str, grid: Grid, picture: torch.Tensor, index: int) -> torch.Tensor:
    """Grad-CAM as its paper states it, with plain hooks, for one picture: equations 1 and 2, then upsampled."""
    kept: list[torch.Tensor] = []

    def keep(module: Any, inputs: Any, output: torch.Tensor) -> None:
        output.retain_grad()
        kept.append(output)

    hook = network.get_submodule(layer).register_forward_hook(keep)
    network(picture[None].clone().requires_grad_())[0, index].backward()
    hook.remove()
    (output,) = kept
    assert output.grad is not None
    activations, slopes = grid(output.detach())[0], grid(output.grad)[0]
    heat = sum(slope.mean() * activation for slope, activation in zip(slopes, activations, strict=True))
    assert isinstance(heat, torch.Tensor)
    scaled = torch.nn.functional.interpolate(heat.clamp(min=0)[None, None], picture.shape[1:], mode="bilinear")
    return scaled[0, 0]


def assert_same(maps: torch.Tensor, wanted: torch.Tensor) -> None:
    """Equal within 1e-5 of each map's maximum."""
    scale = wanted.amax(dim=(1, 2), keepdim=True).clamp(min=1e-12)
    assert float(((maps - wanted) / scale).abs().max()) <= TOLERANCE


@pytest.fixture(scope="module", params=NETWORKS)
def example(request: pytest.FixtureRequest) -> tuple[torch.nn.Module, str, Grid]:
    architecture, arguments, layer, grid = NETWORKS[request.param]
    return make(architecture, arguments), layer, grid


class TestMaps:
    def test_equal_the_papers_formula(self, example: tuple[torch.nn.Module, str, Grid]) -> None:
        network, layer, grid = example
        batch = noise(5)
        indices = [0, 1, 2, 3, 4]
        wanted = [by_hand(network, layer, grid, *pair) for pair in zip(batch, indices, strict=True)]
        classes, maps = GradCam(network)(batch, torch.tensor(indices))
        assert classes.tolist() == indices
        assert maps.shape == (5, *WIDE)
        assert sum(bool(heat.any()) for heat in wanted) >= 2
        assert_same(maps, torch.stack(wanted))

    def test_explain_the_predicted_class_by_default(self, example: tuple[torch.nn.Module, str, Grid]) -> None:
        network, *_ = example
        batch = noise(6)
        with torch.inference_mode():
            predicted = network(batch).argmax(dim=1)
        grad_cam = GradCam(network)
        classes, maps = grad_cam(batch, torch.tensor([PREDICTED] * 6))
        assert torch.equal(classes, predicted)
        assert torch.equal(maps, grad_cam(batch, predicted)[1])

    def test_do_not_depend_on_their_batch_mates(self, example: tuple[torch.nn.Module, str, Grid]) -> None:
        grad_cam = GradCam(example[0])
        batch = noise(4)
        alone = torch.cat([grad_cam(picture[None], torch.tensor([1]))[1] for picture in batch])
        among_extremes = torch.cat([batch, 100 * noise(3, seed=2)])
        assert_same(grad_cam(among_extremes, torch.tensor([1, 1, 1, 1, 0, 2, 3]))[1][:4], alone)

    def test_are_the_same_under_inference_mode_and_autocast(self, example: tuple[torch.nn.Module, str, Grid]) -> None:
        network, *_ = example
        batch, wanted = noise(3), torch.tensor([0, 1, 2])
        _, plain = GradCam(network)(batch, wanted)
        with inference(network, "cpu", "bfloat16"):
            _, engines = GradCam(network)(batch, wanted)
            assert torch.is_inference_mode_enabled()
        assert torch.equal(engines, plain)
        assert engines.dtype == torch.float32

    def test_leave_the_network_as_it_answers(self, example: tuple[torch.nn.Module, str, Grid]) -> None:
        network, *_ = example
        batch = noise(2)
        before = network(batch)
        GradCam(network)(batch, torch.tensor([0, 1]))
        assert torch.equal(network(batch), before)
        assert not any(weight.requires_grad or weight.grad is not None for weight in network.parameters())


class TestLayer:
    def test_none_is_an_error_that_says_so(self) -> None:
        network = timm.create_model("pit_ti_224", num_classes=3).eval()
        with pytest.raises(
            ArtifactError, match=r"PoolingVisionTransformer has no layer .* convolutional networks, and"
        ):
            GradCam(network)

    def test_a_broken_network_is_told_from_a_missing_layer(self) -> None:
        network = make("test_resnet", {})
        network.get_classifier().bias.fill_(torch.nan)
        with pytest.raises(ArithmeticError, match="not a number"):
            GradCam(network)


class TestLayout:
    @pytest.mark.parametrize("prefix", [0, 1, 5])
    def test_tokens_become_a_grid_and_take_their_place_again(self, prefix: int) -> None:
        tokens = torch.arange(2.0 * (prefix + 15) * 4).reshape(2, prefix + 15, 4)
        layout = layout_of(tokens, channels=4, prefix=prefix, aspect=3 / 5)
        grid = layout.forth(tokens)
        assert grid.shape == (2, 4, 3, 5)
        assert torch.equal(grid[1, :, 2, 4], tokens[1, -1])
        assert torch.equal(grid[0, :, 1, 0], tokens[0, prefix + 5])
        assert torch.equal(layout.back(tokens, grid), tokens)

    @pytest.mark.parametrize(
        "output", [torch.zeros(2, 8), torch.zeros(2, 1, 8)[:, :0], torch.zeros(2, 11, 8), [torch.zeros(2, 8, 3, 5)]]
    )
    def test_what_is_no_grid_is_none(self, output: Any) -> None:
        with pytest.raises(NoGridError):
            layout_of(output, channels=8, prefix=1, aspect=3 / 5)


class TestDrawing:
    heat = np.array([[0.0, 1.0], [2.0, 4.0]], np.float32)
    picture = np.array([[[10, 20, 30], [200, 100, 50]], [[0, 0, 0], [255, 255, 255]]], np.uint8)

    def drawn(self, *arguments: Any) -> Image.Image:
        image = Image.open(io.BytesIO(draw_heat(*arguments)))
        assert image.format == "PNG"
        return image

    def test_alone_it_is_scaled_to_its_maximum(self) -> None:
        assert np.asarray(self.drawn(self.heat)).tolist() == [[0, 64], [128, 255]]

    def test_no_heat_is_black_and_leaves_the_picture(self) -> None:
        nothing = np.zeros((2, 2), np.float32)
        assert not np.asarray(self.drawn(nothing)).any()
        grey = np.asarray(Image.fromarray(self.picture).convert("L").convert("RGB"))
        np.testing.assert_array_equal(np.asarray(self.drawn(nothing, self.picture)), grey)

    def test_over_the_picture_it_turns_yellow_where_it_is_hottest(self) -> None:
        drawn = np.asarray(self.drawn(self.heat, self.picture)).astype(int)
        assert (drawn[0, 0] == drawn[0, 0, 0]).all()  # no heat: grey as it was
        red, green, blue = drawn[1, 1]
        assert red == green == 255
        assert blue == round(255 * (1 - 0.6))
        assert drawn[1, 0, 0] > drawn[1, 0, 1] > 0  # half: between red and yellow

    def test_a_picture_may_be_grey(self) -> None:
        grey = self.picture[..., 0]
        colours = np.stack([grey] * 3, axis=2)
        assert draw_heat(self.heat, grey) == draw_heat(self.heat, colours)


@pytest.fixture(scope="module")
def lite0() -> torch.nn.Module:
    return load_network(samples.model("efficientnet-lite0"))


@pytest.fixture(scope="module")
def photographs(lite0: torch.nn.Module) -> torch.Tensor:
    """A batch of all twenty."""
    preprocessing = Preprocessing.of(lite0, "cpu")
    files = sorted(samples.photographs().rglob("*.jpg"))
    return preprocessing.batch([preprocessing.fit(open_picture(file).convert("RGB")) for file in files])


@pytest.mark.slow
@pytest.mark.samples
class TestRealPhotographs:
    """EfficientNet-Lite0 over twenty photographs."""

    def test_what_is_hot_matters_more_than_what_is_cold(
        self, lite0: torch.nn.Module, photographs: torch.Tensor
    ) -> None:
        classes, maps = GradCam(lite0)(photographs, torch.full((len(photographs),), PREDICTED))
        deleted = delete_parts(lite0, photographs, classes, maps, share=0.2)
        assert deleted.passed >= 0.8
        assert deleted.whole.mean() - deleted.without_hottest.mean() > 3 * (
            deleted.whole.mean() - deleted.without_coldest.mean()
        )

    def test_maps_of_noise_do_not_pass(self, lite0: torch.nn.Module, photographs: torch.Tensor) -> None:
        """So that the deletion test is known to fail: among maps that show nothing, half pass."""
        with torch.inference_mode():
            classes = lite0(photographs).argmax(dim=1)
        maps = torch.rand(len(photographs), *photographs.shape[2:], generator=torch.Generator().manual_seed(0))
        assert 0.2 <= delete_parts(lite0, photographs, classes, maps).passed <= 0.8

    def test_a_mirrored_photograph_has_a_mirrored_map(self, lite0: torch.nn.Module, photographs: torch.Tensor) -> None:
        grad_cam = GradCam(lite0)
        classes, maps = grad_cam(photographs, torch.full((len(photographs),), PREDICTED))
        for turned in ((3,), (2, 3)):
            _, others = grad_cam(photographs.flip(turned), classes)
            back = others.flip([axis - 1 for axis in turned])
            right, wrong = _likeness(maps, back), _likeness(maps, others)
            assert (right > wrong).float().mean() >= 0.9


def _likeness(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.cosine_similarity(one.flatten(1), other.flatten(1))
