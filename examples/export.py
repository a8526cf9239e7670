"""Export a trained CAL to ONNX, a file for each modality, and compare them with PyTorch.

    python examples/export.py --run runs/demo --out runs/demo/onnx

The files take images [n 3 h w], normalised, for any n, and give embeddings whose dot products are the similarities of
distilled retrieval. embedding.json beside them has the input's size, its mean and deviation, the embedding's
dimension and the model's settings. Neither this library nor PyTorch is needed to use them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vireid.command import cli, script


@dataclass(frozen=True)
class Options:
    run: Path = Path("runs/demo")
    """The directory of a finished run of `train_*.py --method cal`."""
    out: Path | None = None
    """Where the files go; by default `onnx` in the run's directory."""


def main(options: Options) -> None:
    from rich.console import Console

    from vireid.models.export import export_onnx
    from vireid.models.hub import HubCAL

    console = Console()
    model = HubCAL.from_run(options.run)
    out = options.out or options.run / "onnx"
    for name, difference in export_onnx(model, out).items():
        console.print(f"[bold]{out / name}.onnx[/bold]: within {difference:.1e} of PyTorch", soft_wrap=True)


if __name__ == "__main__":
    with script("export"):
        main(cli(Options, description=__doc__))
