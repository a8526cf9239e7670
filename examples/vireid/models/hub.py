"""A whole model in a directory or on the Hugging Face hub: its weights, and the settings that build it again."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from huggingface_hub import ModelHubMixin, snapshot_download
from safetensors import SafetensorError

from concordant import CAL
from vireid.config import ModelSettings
from vireid.files import read_json, reason_of, write_json
from vireid.models.backbones import create_backbone
from vireid.models.weights import load_weights, save_weights

CONFIG, WEIGHTS = "config.json", "model.safetensors"
START = {"pretrained": False, "weights": None}
"""Where training started: nothing that a trained model is built from."""


class HubCAL(CAL, ModelHubMixin, library_name="concordant", tags=["person-re-identification"]):
    """CAL as the settings describe it, that `save_pretrained`, `push_to_hub` and `from_pretrained` save and load.

    A directory or a repository holds config.json and model.safetensors; pickles are neither written nor read.
    (Of the hub's two mixins this is the plain one: the other reads a pickle where there is no safetensors file, and
    lets weights pass that do not fit the model.)
    """

    def __init__(self, settings: ModelSettings, *, height: int, width: int, num_classes: int) -> None:
        backbone, channels = create_backbone(
            settings.backbone,
            image_size=(height, width),
            pretrained=settings.pretrained,
            weights=settings.weights,
            specific_stems=settings.specific_stems,
        )
        super().__init__(
            backbone,
            channels,
            num_classes,
            settings.parts,
            dim=settings.dim,
            alpha=settings.alpha,
            shared_miner=settings.shared_miner,
            statistics=settings.statistics,
            protect_attention=settings.protect_attention,
        )
        self.settings, self.height, self.width = settings, height, width

    @property
    def config(self) -> dict[str, Any]:
        """What config.json holds: all that it takes to build the model for these weights."""
        sizes = {"height": self.height, "width": self.width, "num_classes": self.num_classes}
        return {"model": {name: value for name, value in asdict(self.settings).items() if name not in START}} | sizes

    @classmethod
    def from_pretrained(cls, source: Path | str, **download: Any) -> HubCAL:
        """The model that `save_pretrained` wrote to a directory, or `push_to_hub` to a repository; in evaluation mode.

        Args:
            source: the directory, or the repository's name on the hub.
            download: options of `huggingface_hub.snapshot_download`: revision, token, cache_dir, local_files_only, …

        Raises:
            FileNotFoundError: there is no such directory or repository, or a file of it is missing.
            ValueError: `source` is a file (a pickle, say), or the files are damaged or do not fit each other.
        """
        if Path(source).is_file():
            rule = f"`source` must be a directory or a repository that holds {CONFIG} and {WEIGHTS}, never a pickle"
            raise ValueError(f"from_pretrained: {rule}; got the file {source}")
        directory = Path(source)
        if not directory.is_dir():
            try:
                directory = Path(snapshot_download(str(source), allow_patterns=[CONFIG, WEIGHTS], **download))
            except (OSError, ValueError) as error:
                reason = reason_of(error)
                raise FileNotFoundError(f"from_pretrained: no directory and no repository {source}; {reason}") from None
        for name in (CONFIG, WEIGHTS):
            if not (directory / name).is_file():
                raise FileNotFoundError(f"from_pretrained: no {name} in {directory} (pickles are not read)")
        return cls._load("from_pretrained", directory / CONFIG, directory / WEIGHTS, lambda config: config)

    @classmethod
    def from_run(cls, run: Path) -> HubCAL:
        """The model that a run of `train_*.py --method cal` left in its directory, in evaluation mode.

        Raises:
            FileNotFoundError: there is no such run, or it has not finished.
            ValueError: it trained another method, or its files are damaged or do not fit each other.
        """
        for name in ("run.json", WEIGHTS):
            if not (run / name).is_file():
                raise FileNotFoundError(
                    f"from_run: {run.absolute()} must be the directory of a finished run: no {name}"
                )

        def config_of(record: Any) -> dict[str, Any]:
            settings = record["settings"]
            if settings["method"] != "cal":
                raise ValueError(f"`method` must be 'cal'; got {settings['method']!r}")
            sizes = {"height": settings["data"]["height"], "width": settings["data"]["width"]}
            model = {name: value for name, value in settings["model"].items() if name not in START}
            return {"model": model, "num_classes": record["data"]["train"]["identities"]} | sizes

        return cls._load("from_run", run / "run.json", run / WEIGHTS, config_of)

    @classmethod
    def _load(cls, who: str, described: Path, weights: Path, config_of: Callable[[Any], Any]) -> HubCAL:
        """The model with these weights whose config `config_of` finds in the JSON file `described`."""
        try:
            config = config_of(read_json(described))
            _check_keys(config, {"model", "height", "width", "num_classes"})
            # A model may be older than a setting, whose default then stands for what it was.
            settings = {field.name for field in fields(ModelSettings)} - START.keys()
            _check_keys(config["model"], settings, optional=settings)
            model = cls(ModelSettings(**config.pop("model"), **START), **config)
            load_weights(model, weights)
        except KeyError as error:
            raise ValueError(
                f"{who}: {described} must describe the model of {weights.name}; it has no {error}"
            ) from None
        except (SafetensorError, RuntimeError, TypeError, ValueError) as error:
            rule = f"{described} must describe the model of {weights.name}"
            raise ValueError(f"{who}: {rule}; {reason_of(error)}") from None
        model.eval()
        return model

    def _save_pretrained(self, save_directory: Path) -> None:
        save_weights(self, save_directory / WEIGHTS)
        write_json(save_directory / CONFIG, self.config)


def _check_keys(content: Any, names: set[str], *, optional: Collection[str] = ()) -> None:
    if not isinstance(content, dict):
        raise ValueError(f"it must have {', '.join(sorted(names))}; got {type(content).__name__}")
    missing, unknown = names.difference(optional, content), content.keys() - names
    if missing or unknown:
        wrong = {"without": missing, "with": unknown}
        found = " and ".join(f"{how} {', '.join(sorted(keys))}" for how, keys in wrong.items() if keys)
        raise ValueError(f"its keys must be those of such a model; got it {found}")
