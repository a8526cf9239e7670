"""Export a trained CAL to ONNX, one file for each modality, and compare the files with PyTorch.

    python examples/export.py --run runs/demo --out runs/demo/onnx

The files map normalised images [n 3 h w], for any n, to embeddings whose dot products are the similarities of
distilled retrieval. embedding.json beside them has the size of the input, its mean and standard deviation, the
dimension of the embedding and the settings of the model. Using the files needs neither this library nor PyTorch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vireid.command import cli, script


@dataclass(frozen=True)
class Options:
    run: Path = Path("runs/demo")
    """Directory of a finished run of `train_*.py --method cal`."""
    out: Path | None = None
    """Directory for the files; by default `onnx` in the directory of the run."""


def main(options: Options) -> None:
    from rich.console import Console

    from vireid.models.export import export_onnx
    from vireid.models.hub import HubCAL

    console = Console()
    model = HubCAL.from_run(options.run)
    out = options.out or options.run / "onnx"
    with console.status("exporting, and comparing with PyTorch"):
        differences = export_onnx(model, out)
    for name, difference in differences.items():
        console.print(f"[bold]{out / name}.onnx[/bold]: at most {difference:.1e} from PyTorch", soft_wrap=True)


if __name__ == "__main__":
    with script("export"):
        main(cli(Options, description=__doc__))
