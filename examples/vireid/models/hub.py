"""A model in a directory or on the Hugging Face hub: its weights, and the settings to build it."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import ModelHubMixin, snapshot_download

from vireid.files import reason_of, write_json
from vireid.models.build import BuiltCAL
from vireid.models.weights import CONFIG, WEIGHTS, as_json, load_model, save_weights
from vireid.runs import RECORD


class HubCAL(BuiltCAL, ModelHubMixin, library_name="concordant", tags=["person-re-identification"]):
    """CAL built from its settings, with `save_pretrained`, `push_to_hub` and `from_pretrained`.

    A directory or a repository holds config.json and model.safetensors; pickles are neither written nor read.
    (The hub has two mixins. The other one reads a pickle if there is no safetensors file, and accepts weights that do
    not fit the model.)
    """

    @classmethod
    def from_pretrained(  # type: ignore[override]  # no options that a saved model fixes
        cls,
        source: Path | str,
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: Path | str | None = None,
        local_files_only: bool = False,
    ) -> HubCAL:
        """The model that `save_pretrained` wrote to a directory, or `push_to_hub` to a repository; in evaluation mode.

        Args:
            source: the directory, or the name of the repository on the hub.
            revision, token, cache_dir, local_files_only: arguments for `huggingface_hub.snapshot_download`.

        Raises:
            FileNotFoundError: there is no such directory or repository, or a file of it is missing.
            ValueError: `source` is a file (such as a pickle), or the files are damaged or do not fit each other.
        """
        if Path(source).is_file():
            rule = f"`source` must be a directory or a repository that holds {CONFIG} and {WEIGHTS}, never a pickle"
            raise ValueError(f"from_pretrained: {rule}; got the file {source}")
        directory = Path(source)
        if not directory.is_dir():
            try:
                directory = Path(
                    snapshot_download(
                        str(source),
                        allow_patterns=[CONFIG, WEIGHTS],
                        revision=revision,
                        token=token,
                        cache_dir=cache_dir,
                        local_files_only=local_files_only,
                    )
                )
            except (OSError, ValueError) as error:
                reason = reason_of(error)
                raise FileNotFoundError(f"from_pretrained: no directory and no repository {source}; {reason}") from None
        for name in (CONFIG, WEIGHTS):
            if not (directory / name).is_file():
                raise FileNotFoundError(f"from_pretrained: no {name} in {directory} (pickles are not read)")
        return load_model(directory / WEIGHTS, cls)

    @classmethod
    def from_run(cls, run: Path | str) -> HubCAL:
        """The model of a run of `train_*.py --method cal`, in evaluation mode.

        Raises:
            FileNotFoundError: there is no such run, or it has not finished.
            ValueError: it trained another method, or its files are damaged or do not fit each other.
        """
        run = Path(run)
        for name in (RECORD, WEIGHTS):
            if not (run / name).is_file():
                raise FileNotFoundError(
                    f"from_run: {run.absolute()} must be the directory of a finished run: no {name}"
                )
        return load_model(run / WEIGHTS, cls)

    def _save_pretrained(self, save_directory: Path) -> None:
        save_weights(self, save_directory / WEIGHTS)
        write_json(save_directory / CONFIG, as_json(self.config))
