"""Common code of the tests: tolerances, random weights, a small model and its batches."""

from __future__ import annotations

from typing import TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from concordant import CAL, TSAA, CALOutput, MinedParts, PartQueries, Refined

AnyModule = TypeVar("AnyModule", bound=nn.Module)


def close(actual: Tensor, expected: Tensor, *, rtol: float = 1e-9, atol: float = 1e-9) -> None:
    """Equal up to 1e-9 by default; a failure's message shows where."""
    torch.testing.assert_close(actual, expected, rtol=rtol, atol=atol)


def randomize(module: AnyModule, seed: int = 0) -> AnyModule:
    """Sample all parameters again, also biases: no test may pass because of an initial weight."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype))
    return module


def linear_of(layer: nn.Module) -> tuple[list[list[float]], list[float]]:
    """Weight and bias of a linear layer or pointwise convolution, for the oracles."""
    weight, bias = cast(Tensor, layer.weight), cast(Tensor, layer.bias)
    return weight.detach().flatten(1).tolist(), bias.detach().tolist()


def mlp_of(perceptron: nn.Module) -> list[tuple[list[list[float]], list[float]]]:
    return [linear_of(layer) for layer in perceptron.children() if isinstance(layer, nn.Linear)]


class Convolution(nn.Conv2d):
    """A backbone that may be told the modality, and does not use it."""

    def forward(self, images: Tensor, modality: int | Tensor = 0) -> Tensor:
        return super().forward(images)


def small_cal(**settings: object) -> CAL:
    """CAL on a backbone of one convolution: 16 x 8 images to 8 tokens of 6 channels, three parts, four identities."""
    dtype = cast(torch.dtype, settings.get("dtype", torch.float32))
    device = cast("str | None", settings.get("device"))
    backbone = Convolution(3, 6, 4, stride=4, dtype=dtype, device=device)
    arguments = {"channels": 6, "num_parts": 3, "num_classes": 4} | settings
    return CAL(backbone, **arguments)  # type: ignore[arg-type]


def paired_batch(dtype: torch.dtype = torch.float32, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Images, labels and modality in which every row has exactly one possible partner: nothing is left to chance."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(6, 3, 16, 8, generator=generator, dtype=dtype)
    return images, torch.tensor([0, 1, 2, 0, 1, 2]), torch.tensor([0, 0, 0, 1, 1, 1])


def cal_output(
    labels: Tensor, modality: Tensor, *, seed: int = 0, dtype: torch.dtype = torch.float64, t: int = 5, p: int = 3
) -> CALOutput:
    """A random output of CAL; the partner of a row is the first possible row."""
    n, c, k = len(labels), 4, 8
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=dtype)

    def refined() -> Refined:
        attention = (3 * draw(n, p, t)).softmax(dim=2)
        return Refined(draw(n, p, c), attention, draw(n, t, c), PartQueries(draw(n, p, c), draw(n, p, c)))

    def crops() -> Tensor:
        """Every other row has one: not all of the image."""
        whole = torch.tensor([0.0, 1.0], dtype=dtype).repeat(n, 2, 1)
        whole[::2] = torch.tensor([[0.1, 0.8], [0.9, 0.2]], dtype=dtype)
        return whole

    candidates = (labels[:, None] == labels) & (modality[:, None] != modality)
    paired = candidates.any(dim=1) if n else candidates.new_zeros(0)
    partner = torch.where(paired, candidates.int().argmax(dim=1), torch.arange(n)) if n else labels.clone()
    return CALOutput(
        features=draw(n, c),
        logits=draw(n, k),
        tokens=draw(n, t, c),
        mined=MinedParts(draw(n, p, c), draw(n, p, t).softmax(dim=2)),
        mined_logits=draw(n, p, k),
        saliency=draw(n, t, 1).sigmoid(),
        own=refined(),
        own_logits=draw(n, p, k),
        cross=refined(),
        cross_logits=draw(n, p, k),
        seen=(3 * draw(n, p, t)).softmax(dim=2),
        crops=crops(),
        partner_offset=partner - torch.arange(n),
        paired=paired,
    )


def tsaa_of(channels: int = 4, seed: int = 0, **settings: object) -> TSAA:
    return randomize(TSAA(channels, dtype=torch.float64, **settings), seed)  # type: ignore[arg-type]


def clusters(g: int, e: int = 32, seed: int = 0) -> Tensor:
    """Embeddings [g e]: unit vectors about forty centres."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(40, e, generator=generator)
    return normalize(centres[torch.arange(g) % 40] + 0.5 * torch.randn(g, e, generator=generator), dim=1)


def trained_looking(**settings: object) -> CAL:
    """CAL in eval mode with random weights and statistics: scorers differ, and batch norms are not the identity."""
    model = small_cal(dtype=torch.float64, **settings)
    randomize(model, 3)
    generator = torch.Generator().manual_seed(4)
    for norm in (model.norm, model.part_norm):
        norm.running_mean.normal_(generator=generator)  # type: ignore[union-attr]
        norm.running_var.uniform_(0.5, 2, generator=generator)  # type: ignore[union-attr]
    return model.eval()


def images_for(n: int, seed: int = 0) -> Tensor:
    return torch.randn(n, 3, 16, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
