"""The options of `evaluate.py`: of trained weights on a data set, or of the features of any model."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Generic, Literal, TypeVar

from tyro.conf import OmitArgPrefixes, OmitSubcommandPrefixes, configure, subcommand

from vireid.config import FolderSource, LlcmSource, RegdbSource, RetrievalSettings, Source, SysuSource

Protocol = Literal["sysu", "regdb", "llcm"]
AnySource = TypeVar("AnySource", bound=Source)


@dataclass(frozen=True)
class Evaluation(Generic[AnySource]):
    """Evaluation of a trained model on a data set."""

    data: AnySource
    weights: Path | None = None
    """model.safetensors of a run or of a saved model, with its run.json or config.json in the same directory. With
    `--trial all`: the directory of a run of all trials."""
    out: Path = Path("runs/evaluation")
    """Directory for the results."""
    verify: bool = False
    """Only compare the counts of the data set with the published ones; needs no weights."""
    overwrite: bool = False
    """Replace the results in `out`."""
    cache: Path | None = None
    """Directory for decoded images; by default `.cache` in the data directory."""
    test: RetrievalSettings = field(default_factory=RetrievalSettings)
    """If any of these is on, results are given without them and with them."""


@dataclass(frozen=True)
class FeatureFiles:
    """Features of any model, which a file of each modality has.

    A .npz or .mat file has `features` (n, e), `ids` (n,) and `cameras` (n,). Beside NAME.npy, which has the features,
    are NAME_ids.npy and NAME_cameras.npy. RegDB needs no cameras. Images of one identity and camera are in the order of
    their file names, as draws depend on it.
    """

    protocol: Protocol
    """Data set whose protocol is used."""
    visible: Path
    """File of the visible test images: of all that a gallery may be drawn from."""
    infrared: Path
    """File of the infrared (RegDB: thermal, LLCM: near-infrared) test images."""
    similarity: Path | None = None
    """A .npy, .npz or .mat file with `similarity` (visible, infrared), higher is nearer, to be scored in place of the
    cosines of features. The other files then need no features."""
    root: Path | None = None
    """SYSU-MM01: for the official draws, the directory that has exp/rand_perm_cam.mat. RegDB: the directory of the
    lists, which tell whether identities of the training are tested."""
    trial: int | Literal["all"] = 1
    """RegDB: the trial whose test split is scored. "all": the ten trials and their mean, which publications report; the
    names of the files then have {trial} where the number of the trial is: visible-{trial}.npz."""
    rerank: bool = False
    """Give results also with k-reciprocal re-ranking (k1 = 20, k2 = 6, λ = 0.3)."""
    out: Path = Path("runs/features")
    """Directory for the results: metrics.json."""
    overwrite: bool = False
    """Replace the results in `out`."""


@configure(OmitArgPrefixes, OmitSubcommandPrefixes)
@dataclass(frozen=True)
class Command:
    """The command line of `evaluate.py`."""

    what: (
        Annotated[Evaluation[SysuSource], subcommand("sysu", description="Trained weights on SYSU-MM01.")]
        | Annotated[Evaluation[RegdbSource], subcommand("regdb", description="Trained weights on RegDB.")]
        | Annotated[Evaluation[LlcmSource], subcommand("llcm", description="Trained weights on LLCM.")]
        | Annotated[Evaluation[FolderSource], subcommand("folder", description="Trained weights on your own images.")]
        | Annotated[FeatureFiles, subcommand("features")]
    )
