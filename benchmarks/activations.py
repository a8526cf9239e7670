"""Memory of a training step of CAL on a ResNet-50 at 288 × 144, counted without computing anything.

    python benchmarks/activations.py

Kept for the backward pass is what the forward pass saves, each tensor once; losses add little. Tensors are fake: they
have shapes and types, and no numbers. Weights with gradients and AdamW's two averages take 16 bytes each, at any batch.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._pytree import tree_map_only
from torch.utils.checkpoint import checkpoint

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

from concordant import draw_views, split_modality
from vireid.config import Settings
from vireid.models.build import build_model
from vireid.recipes import SYSU

PLAIN = replace(SYSU, model=replace(SYSU.model, pretrained=False))
SHORT = replace(PLAIN, model=replace(PLAIN.model, stage=3))
CLASSES = 395
Case = tuple[str, Settings, int, bool, bool]


def cases() -> Iterator[Case]:
    """A name, settings, images in a batch, whether in bf16, whether stages are computed again."""
    for batch in (64, 32, 16):
        yield f"{batch} images, float32", PLAIN, batch, False, False
    for batch in (64, 32, 16):
        yield f"{batch} images, bf16", PLAIN, batch, True, False
    yield "64 images, bf16, without views", replace(PLAIN, data=replace(PLAIN.data, views=0.0)), 64, True, False
    yield "64 images, bf16, `--model.stage 3`", SHORT, 64, True, False
    yield "64 images, bf16, stages computed again", PLAIN, 64, True, True
    yield "64 images, bf16, `--method global`", replace(PLAIN, method="global"), 64, True, False


def gibibytes(settings: Settings, batch: int, half: bool, again: bool) -> tuple[float, float]:
    """What the forward pass keeps, and what weights, gradients and the optimiser take."""
    modality = torch.arange(batch) % 2
    views = draw_views(batch, share=settings.data.views) if settings.method == "cal" and settings.data.views else None
    split = split_modality(modality if views is None else torch.cat([modality, modality[views.rows]]))
    model, mode = build_model(settings.model_config(CLASSES)).train(), FakeTensorMode()
    fake(model, mode)
    inputs = (torch.arange(batch) // 4, split, views)
    labels, split, views = tree_map_only(Tensor, mode.from_tensor, inputs)
    with mode:
        images = torch.empty(batch, 3, settings.data.height, settings.data.width)
        images = images.contiguous(memory_format=torch.channels_last)
        if again:
            for stage in model.backbone.trunk:  # type: ignore[union-attr]
                recompute(stage)
        known = {x.untyped_storage()._cdata for x in (*model.parameters(), *model.buffers())}
        kept: dict[int, Tensor] = {}

        def keep(tensor: Tensor) -> Tensor:
            if tensor.untyped_storage()._cdata not in known:
                kept[tensor.untyped_storage()._cdata] = tensor
            return tensor

        with (
            torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x),
            torch.autocast("cpu", torch.bfloat16) if half else nullcontext(),
        ):
            output = model(images, labels, split, views=views)
    saved = sum(x.untyped_storage().nbytes() for x in kept.values())
    del output
    return saved / 2**30, 16 * sum(x.numel() for x in model.parameters()) / 2**30


def fake(model: nn.Module, mode: FakeTensorMode) -> None:
    """Weights and buffers without numbers."""
    for module in model.modules():
        for name, weight in list(module._parameters.items()):
            if weight is not None:
                module._parameters[name] = nn.Parameter(mode.from_tensor(weight.detach()), weight.requires_grad)
        for name, buffer in module._buffers.items():
            module._buffers[name] = None if buffer is None else mode.from_tensor(buffer)


def recompute(stage: nn.Module) -> None:
    stage.forward = partial(checkpoint, stage.forward, use_reentrant=False)


def main() -> None:
    print("| setting | GiB kept for the backward pass | GiB of weights, gradients, AdamW |\n|---|---|---|")
    for name, settings, batch, half, again in cases():
        kept, others = gibibytes(settings, batch, half, again)
        print(f"| {name} | {kept:.2f} | {others:.2f} |", flush=True)


if __name__ == "__main__":
    main()
