"""The rendered data set, with the files of SYSU-MM01: the loader of the real data set reads it."""

from __future__ import annotations

import io
import multiprocessing
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, astuple, fields
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from rich.progress import Progress
from scipy.io import savemat

from vireid.files import read_json, write_json, write_text
from vireid.lock import locked
from vireid.people.camera import CAMERAS
from vireid.people.config import LISTED, SPLITS, RenderConfig
from vireid.people.figure import dress
from vireid.people.labels import Part
from vireid.people.picture import Conditions, render
from vireid.people.prepared import load_plate, prepare
from vireid.pictures import open_picture

VERSION = 3
"""Version of the renderer: increase it whenever the same configuration would give other bytes."""

RECORD, ATTRIBUTES, CONDITIONS = "render.json", "attributes.json", "conditions.csv"
NOTE = "conditions"
"""The text in a label map's file that says how its picture was taken: what follows its name in `CONDITIONS`."""
PICTURE_STREAM, GALLERY_STREAM = 2, 3  # those of random numbers; another draws the people
DRAWS = 10


def picture_path(camera: int, identity: int, index: int) -> Path:
    return Path(f"cam{camera}", f"{identity:04d}", f"{index:04d}.jpg")


def labels_path(camera: int, identity: int, index: int) -> Path:
    return Path("parts", picture_path(camera, identity, index)).with_suffix(".png")


def pictures_of(config: RenderConfig, identity: int) -> list[tuple[int, int]]:
    """The camera and the index of each picture of an identity."""
    return [(camera, index) for camera in CAMERAS for index in range(1, config.count(identity, camera) + 1)]


def render_identity(root: Path, config: RenderConfig, identity: int) -> int:
    """Write all pictures of one identity with their label maps, each from separate random numbers; return their number.

    What was written before is kept: a file appears under its name only when it is complete.
    """
    wanted = pictures_of(config, identity)
    missing = [(c, i) for c, i in wanted if not (root / picture_path(c, identity, i)).exists()]
    if not missing:
        return len(wanted)
    figure = dress(config.person(identity))
    for camera, index in missing:
        rng = np.random.default_rng([config.seed, PICTURE_STREAM, identity, camera, index])
        picture = render(figure, CAMERAS[camera], load_plate(camera), rng, (config.height, config.width))
        path = root / picture_path(camera, identity, index)
        labels = root / labels_path(camera, identity, index)
        for folder in (path.parent, labels.parent):
            folder.mkdir(parents=True, exist_ok=True)
        note = PngInfo()
        note.add_text(NOTE, ",".join(f"{value:.4f}" for value in astuple(picture.conditions)))
        # First: the picture tells that both are there.
        Image.fromarray(picture.labels).save(labels, pnginfo=note)
        content = io.BytesIO()
        Image.fromarray(picture.image).save(content, "JPEG", quality=config.quality, subsampling=0)
        unfinished = path.with_suffix(".tmp")
        unfinished.write_bytes(content.getvalue())
        unfinished.rename(path)
    return len(wanted)


def gallery_draws(config: RenderConfig) -> np.ndarray:
    """The cell array `rand_perm_cam` (6, 1): a cell (n, 1) a camera, of a 10 x m permutation of 1..m an identity, m
    being the number of its pictures; empty beyond the identities."""
    cameras = np.empty((len(CAMERAS), 1), object)
    for number in CAMERAS:
        lists = np.empty((LISTED[number], 1), object)
        for identity in range(1, LISTED[number] + 1):
            lists[identity - 1, 0] = np.zeros((0, 0), np.uint16)
            if identity <= config.identities:
                rng = np.random.default_rng([config.seed, GALLERY_STREAM, identity, number])
                order = np.arange(1, config.count(identity, number) + 1, dtype=np.uint16)
                lists[identity - 1, 0] = rng.permuted(np.tile(order, (DRAWS, 1)), axis=1)
        cameras[number - 1, 0] = lists
    return cameras


def write_protocol(root: Path, config: RenderConfig) -> None:
    """Write the folder exp: the identities of each split, and the official gallery draws."""
    folder = root / "exp"
    folder.mkdir(exist_ok=True)
    for name in SPLITS:
        (folder / f"{name}_id.txt").write_text(",".join(map(str, config.split(name))) + "\n")
    buffer = io.BytesIO()
    savemat(buffer, {"rand_perm_cam": gallery_draws(config)})
    content = bytearray(buffer.getvalue())
    content[:116] = b"MATLAB 5.0 MAT-file: gallery draws of a rendered data set".ljust(116)  # it held the time of day
    (folder / "rand_perm_cam.mat").write_bytes(content)


def write_attributes(root: Path, config: RenderConfig) -> None:
    """Write the attributes of each person in words, and the names of the label maps' values."""
    people = {f"{identity:04d}": config.person(identity).words() for identity in range(1, config.identities + 1)}
    parts = {str(int(part)): part.name.lower() for part in Part}
    write_json(root / ATTRIBUTES, {"parts": parts, "people": people})


def write_conditions(root: Path, config: RenderConfig) -> None:
    """Write how every picture was taken, as its label map's file notes: a line each, below the names of the columns."""
    lines = [",".join(("picture", *(field.name for field in fields(Conditions))))]
    for identity in range(1, config.identities + 1):
        for camera, index in pictures_of(config, identity):
            labels = open_picture(root / labels_path(camera, identity, index))
            lines.append(f"{picture_path(camera, identity, index).as_posix()},{labels.info[NOTE]}")
    write_text(root / CONDITIONS, "\n".join(lines) + "\n")


def render_all(root: Path, config: RenderConfig, workers: int) -> Iterator[int]:
    """Write the pictures of all identities, yielding the number of pictures after each identity."""
    identities = range(1, config.identities + 1)
    if workers == 1:
        yield from (render_identity(root, config, identity) for identity in identities)
        return
    # Processes start afresh: forking one that holds threads (torch's, rich's) may hang.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        jobs = [pool.submit(render_identity, root, config, identity) for identity in identities]
        try:
            yield from (job.result() for job in as_completed(jobs))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def record_of(config: RenderConfig) -> dict[str, Any]:
    return {"version": VERSION, "config": asdict(config)}


def is_rendered(root: Path, config: RenderConfig) -> bool:
    """Whether `root` holds this data set. False if `root` does not exist; an error if it holds other data."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    try:
        record = read_json(root / RECORD)
        version, found = record["version"], dict(record["config"])
    except (OSError, ValueError, KeyError, TypeError):
        raise ValueError(
            f"render_dataset: `root` must be a data set rendered before, or not exist yet; got {root} without a "
            f"readable {RECORD}"
        ) from None
    changed = [key for key, value in asdict(config).items() if found.get(key) != value]
    if version != VERSION or changed:
        raise ValueError(
            f"render_dataset: `root` must hold the data set of this configuration, or not exist yet; got {root}, "
            f"rendered by version {version} (this is {VERSION}) with another {', '.join(changed) or 'renderer'}"
        )
    return True


def render_dataset(
    root: Path | str, config: RenderConfig | None = None, *, workers: int | None = None, progress: bool = True
) -> Path:
    """Render a data set into `root`, in the layout of SYSU-MM01, and return `root`.

    Beside the pictures it has a label map of each: PNG files under `root/parts`, whose values are those of `Part`;
    `attributes.json` describes each person in words; and `conditions.csv` has a line a picture, with the fields of
    `Conditions`. A picture depends only on the seed, identity, camera and index, so that the bytes are the same with
    any number of `workers` (default: one per core). An existing data set is not changed. The set is built in
    `root.unfinished` and renamed when it is complete; an interrupted call is continued there.

    Raises:
        ValueError: `root` holds other data.
        OSError: it cannot be written.
    """
    root, config = Path(root), config or RenderConfig()
    if workers is not None and workers < 1:
        raise ValueError(f"render_dataset: `workers` must be at least 1; got {workers}")
    if is_rendered(root, config):
        return root
    workers = workers or os.cpu_count() or 1
    unfinished = root.with_name(f"{root.name}.unfinished")
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with locked(root.with_name(f".{root.name}.lock"), wait=True):
            if is_rendered(root, config):  # another process has just rendered it
                return root
            begin(unfinished, config)
            prepare(workers, progress=progress)
            with Progress(disable=not progress) as bar:
                task = bar.add_task("Rendering people", total=config.pictures)
                for pictures in render_all(unfinished, config, workers):
                    bar.advance(task, pictures)
            write_protocol(unfinished, config)
            write_attributes(unfinished, config)
            write_conditions(unfinished, config)
            unfinished.rename(root)  # over an empty folder, too
    except OSError as error:
        raise OSError(f"render_dataset: {root} cannot be written; {error}") from error
    return root


def begin(unfinished: Path, config: RenderConfig) -> None:
    """Make the folder of an unfinished data set, or keep what is there of this same one."""
    if unfinished.exists():
        try:
            same = read_json(unfinished / RECORD) == record_of(config)
        except (OSError, ValueError):
            same = False
        if same:
            return
        shutil.rmtree(unfinished)
    unfinished.mkdir()
    write_json(unfinished / RECORD, record_of(config))
