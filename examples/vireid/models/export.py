"""Export of the function from images to embeddings, for programs without this library: torch.export and ONNX."""

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
from vireid.datasets.items import MODALITIES
from vireid.files import replace_file, write_json
from vireid.models.build import BuiltCAL
from vireid.models.weights import as_json

TOLERANCE = 1e-4
"""Largest allowed difference between an exported embedding (of norm 1) and PyTorch's, in any entry."""
BATCHES = (1, 2, 5)
"""Batch sizes for comparing the export with PyTorch."""
MOST = 1 << 30
"""Upper bound for the batch size, which torch 2.6 needs."""
PACKAGES = ("onnx", "onnxruntime", "onnxscript")


class Embedder(nn.Module):
    """The embedding of one modality's images: a copy of a model in evaluation mode, in float32 and on the CPU.

    M̂ is a constant of the graph, as counted so far.

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
    """A constant correspondence."""

    order: Tensor

    def __init__(self, order: Tensor) -> None:
        super().__init__()
        self.register_buffer("order", order)

    def permutation(self) -> Tensor:
        return self.order


def _stable_sort(values: Any, stable: bool | None = None, dim: int = -1, descending: bool = False) -> Any:
    """ONNX has no sort. TopK of all values sorts, and puts the earlier of equal values first, as required."""
    from onnxscript import opset18 as op

    size: Any = op.Constant(value_ints=[values.shape[dim]])
    return op.TopK(values, size, axis=dim, largest=int(descending), sorted=1)


TRANSLATIONS: dict[Callable[..., Any], Callable[..., Any]] = {torch.ops.aten.sort.stable: _stable_sort}
"""Translations that torch.onnx lacks."""


def export_program(model: CAL, modality: int, *, height: int, width: int) -> ExportedProgram:
    """The embedding of one modality's images [n 3 height width] as a graph of torch's operators, for any n ≥ 1."""
    example = torch.zeros(2, 3, height, width)  # with one image, n would become the constant 1
    dynamic = {0: Dim("n", min=1, max=MOST)}
    return torch.export.export(Embedder(model, modality), (example,), dynamic_shapes=(dynamic,))


def export_onnx(model: BuiltCAL, out: Path | str) -> dict[str, float]:
    """Write visible.onnx, infrared.onnx, and embedding.json, which describes their input and output.

    Each file maps `images` [n 3 h w] to `embeddings` [n e], for any n ≥ 1. It is compared with PyTorch before it gets
    its name.

    Returns the largest difference of each file.

    Raises: ValueError for missing packages, or a difference above `TOLERANCE`.
    """
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise ValueError(
            f"export_onnx: {', '.join(PACKAGES)} must be installed (extra `examples`); missing: {', '.join(missing)}"
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
        dynamic_shapes=({0: "n"},),  # only a name; the program makes it dynamic
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
    """The largest difference between embeddings of an ONNX file and the model, on random images of several batches."""
    from onnxruntime import InferenceSession

    session, generator = InferenceSession(path, providers=["CPUExecutionProvider"]), torch.Generator().manual_seed(0)
    eager, differences = deepcopy(model).cpu().float().eval(), []
    for n in BATCHES:
        images = torch.randn(n, 3, model.config.height, model.config.width, generator=generator)
        (embeddings,) = session.run(["embeddings"], {"images": images.numpy()})
        differences.append((torch.from_numpy(embeddings) - eager.embed(images, modality)).abs().max())
    return float(torch.stack(differences).max())  # NaN if any difference is NaN
