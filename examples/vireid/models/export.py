"""The way from images to embeddings as a graph of its own, for programs without this library: torch.export and ONNX."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from concordant import CAL
from vireid.datasets.augment import MEAN, STD
from vireid.datasets.items import INFRARED, VISIBLE
from vireid.files import replace_file, write_json
from vireid.models.build import BuiltCAL
from vireid.models.weights import as_json

MODALITIES = {"visible": VISIBLE, "infrared": INFRARED}
TOLERANCE = 1e-4
"""How far an exported embedding (of norm 1) may be from PyTorch's, in any entry."""
BATCHES = (1, 2, 5)
"""Numbers of images on which the two are compared."""
MOST = 1 << 30
"""Images in a batch: torch 2.6 needs a bound."""
PACKAGES = ("onnx", "onnxruntime", "onnxscript")


class Embedder(nn.Module):
    """One modality's way from images to embeddings: a copy of a model in evaluation mode, in float32 and on the CPU.

    M̂ is taken as it is now: counting matchings is no part of a graph.

    forward(images [n 3 h w]) -> embeddings [n e]
    """

    def __init__(self, model: CAL, modality: int) -> None:
        super().__init__()
        self.model = deepcopy(model).cpu().float().eval().requires_grad_(False)
        self.model.register_module("correspondence", _Order(self.model.correspondence.permutation()))
        self.modality = modality

    def forward(self, images: Tensor) -> Tensor:
        return self.model.embed(images, self.modality)


class _Order(nn.Module):
    """A correspondence that stays as it is."""

    order: Tensor

    def __init__(self, order: Tensor) -> None:
        super().__init__()
        self.register_buffer("order", order)

    def permutation(self) -> Tensor:
        return self.order


def _stable_sort(values: Any, stable: bool | None = None, dim: int = -1, descending: bool = False) -> Any:
    """ONNX knows no sort; its TopK of all values is one, and takes the earlier of equal values first as it must."""
    from onnxscript import opset18 as op

    size: Any = op.Constant(value_ints=[values.shape[dim]])
    return op.TopK(values, size, axis=dim, largest=int(descending), sorted=1)


TRANSLATIONS: dict[Callable[..., Any], Callable[..., Any]] = {torch.ops.aten.sort.stable: _stable_sort}
"""What torch.onnx has no translation of."""


def export_program(model: CAL, modality: int, *, height: int, width: int) -> ExportedProgram:
    """The embedding of one modality's images [n 3 height width] as a graph of torch's operators, for any n ≥ 1."""
    example = torch.zeros(2, 3, height, width)  # with one image, n would be taken for the constant 1
    dynamic = {0: Dim("n", min=1, max=MOST)}
    return torch.export.export(Embedder(model, modality), (example,), dynamic_shapes=(dynamic,))


def export_onnx(model: BuiltCAL, out: Path | str) -> dict[str, float]:
    """Write visible.onnx, infrared.onnx, and embedding.json: what a program must know to use them.

    Each file takes `images` [n 3 h w] and gives `embeddings` [n e], for any n ≥ 1. It is compared with PyTorch before
    it gets its name.

    Returns the largest difference of each.

    Raises: ValueError for packages that are missing, or a difference above `TOLERANCE`.
    """
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise ValueError(
            f"export_onnx: needs {', '.join(PACKAGES)} (the extra `examples`); missing: {', '.join(missing)}"
        )
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    differences = {name: _export_one(model, modality, out / f"{name}.onnx") for name, modality in MODALITIES.items()}
    write_json(
        out / "embedding.json",
        {
            "files": {name: f"{name}.onnx" for name in MODALITIES},
            "input": {
                "name": "images",
                "shape": ["n", 3, model.config.height, model.config.width],
                "channels": "RGB",
                "range": [0, 1],
                "mean": MEAN,
                "std": STD,
            },
            "output": {"name": "embeddings", "shape": ["n", model.channels * (model.num_parts + 1)]},
            "compare": "dot product",
            "largest_difference": differences,
            "config": as_json(model.config),
        },
    )
    return differences


def _export_one(model: BuiltCAL, modality: int, path: Path) -> float:
    program = export_program(model, modality, height=model.config.height, width=model.config.width)
    converted = torch.onnx.export(
        program,
        input_names=["images"],
        output_names=["embeddings"],
        dynamic_shapes=({0: "n"},),  # its name; that it varies, the program says
        dynamo=True,
        verbose=False,
        custom_translation_table=TRANSLATIONS,
    )
    assert converted is not None  # since `dynamo`

    def write(temporary: Path) -> float:
        converted.save(temporary)
        difference = largest_difference(model, modality, temporary)
        if not difference <= TOLERANCE:
            raise ValueError(f"export_onnx: {path.name} must be within {TOLERANCE} of PyTorch; got {difference:.2g}")
        return difference

    return replace_file(path, write)


@torch.no_grad()
def largest_difference(model: BuiltCAL, modality: int, path: Path | str) -> float:
    """How far the embeddings of an ONNX file are from the model's, over random images in batches of several sizes."""
    from onnxruntime import InferenceSession

    session, generator = InferenceSession(path, providers=["CPUExecutionProvider"]), torch.Generator().manual_seed(0)
    eager, differences = deepcopy(model).cpu().float().eval(), []
    for n in BATCHES:
        images = torch.randn(n, 3, model.config.height, model.config.width, generator=generator)
        (embeddings,) = session.run(["embeddings"], {"images": images.numpy()})
        differences.append((torch.from_numpy(embeddings) - eager.embed(images, modality)).abs().max())
    return float(torch.stack(differences).max())  # not a number, if any of them is
