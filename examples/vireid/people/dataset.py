"""The rendered data set, with the files of SYSU-MM01: the loader of the real data set reads it."""

from __future__ import annotations

import io
import multiprocessing
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path

import numpy as np
from PIL import Image
from rich.progress import track
from scipy.io import savemat

from vireid.files import read_json, write_json
from vireid.people.camera import CAMERAS
from vireid.people.config import LISTED, SPLITS, RenderConfig
from vireid.people.picture import render

VERSION = 1
"""Version of the renderer: increase it whenever the same configuration would give other bytes."""

RECORD = "render.json"
PICTURE_STREAM, GALLERY_STREAM = 2, 3  # those of random numbers; another draws the people
DRAWS = 10


def render_identity(root: Path, config: RenderConfig, identity: int, with_parts: bool) -> int:
    """Write all pictures of one identity, each from separate random numbers; return their number."""
    person, written = config.person(identity), 0
    for number, camera in CAMERAS.items():
        folder = Path(f"cam{number}", f"{identity:04d}")
        (root / folder).mkdir(parents=True)
        if with_parts:
            (root / "parts" / folder).mkdir(parents=True)
        for index in range(1, config.count(identity, number) + 1):
            rng = np.random.default_rng([config.seed, PICTURE_STREAM, identity, number, index])
            picture = render(person, camera, rng, (config.height, config.width))
            image = Image.fromarray(picture.image)
            image.save(root / folder / f"{index:04d}.jpg", quality=config.quality, subsampling=0)
            if with_parts:
                Image.fromarray(picture.parts).save(root / "parts" / folder / f"{index:04d}.png")
            written += 1
    return written


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
    folder.mkdir()
    for name in SPLITS:
        (folder / f"{name}_id.txt").write_text(",".join(map(str, config.split(name))) + "\n")
    buffer = io.BytesIO()
    savemat(buffer, {"rand_perm_cam": gallery_draws(config)})
    content = bytearray(buffer.getvalue())
    content[:116] = b"MATLAB 5.0 MAT-file: gallery draws of a rendered data set".ljust(116)  # it held the time of day
    (folder / "rand_perm_cam.mat").write_bytes(content)


def render_all(root: Path, config: RenderConfig, workers: int, with_parts: bool) -> Iterator[int]:
    """Write the pictures of all identities, yielding their number after each identity."""
    identities = range(1, config.identities + 1)
    if workers == 1:
        yield from (render_identity(root, config, identity, with_parts) for identity in identities)
        return
    # Processes start afresh: forking one that holds threads (torch's, rich's) may hang.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        jobs = [pool.submit(render_identity, root, config, identity, with_parts) for identity in identities]
        try:
            yield from (job.result() for job in as_completed(jobs))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def is_rendered(root: Path, config: RenderConfig, with_parts: bool) -> bool:
    """Whether `root` holds this data set. False if `root` does not exist; an error if it holds other data."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    try:
        record = read_json(root / RECORD)
        version, found, parts = record["version"], dict(record["config"]), bool(record["parts"])
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
    if with_parts and not parts:
        raise ValueError(f"render_dataset: `root` must hold label maps for `with_parts`; got {root} without them")
    return True


def render_dataset(
    root: Path | str,
    config: RenderConfig | None = None,
    *,
    workers: int | None = None,
    progress: bool = True,
    with_parts: bool = False,
) -> Path:
    """Render a data set into `root`, in the layout of SYSU-MM01, and return `root`.

    A picture depends only on the seed, identity, camera and index, so that the bytes are the same with any number of
    `workers` (default: one per core). An existing data set is not changed. The set is built beside `root` and renamed
    when it is complete. `with_parts` adds the semantic part of each pixel: PNG files under `root/parts`, whose values
    are indices into `PARTS`.

    Raises:
        ValueError: `root` holds other data.
        OSError: it cannot be written.
    """
    root, config = Path(root), config or RenderConfig()
    if workers is not None and workers < 1:
        raise ValueError(f"render_dataset: `workers` must be at least 1; got {workers}")
    if is_rendered(root, config, with_parts):
        return root
    root.parent.mkdir(parents=True, exist_ok=True)
    unfinished = root.with_name(f"{root.name}.{os.getpid()}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    try:
        jobs = render_all(unfinished, config, workers or os.cpu_count() or 1, with_parts)
        for _ in track(jobs, "Rendering people", total=config.identities, disable=not progress):
            pass
        write_protocol(unfinished, config)
        record = {"version": VERSION, "config": asdict(config), "parts": with_parts}
        write_json(unfinished / RECORD, record)
        try:
            unfinished.rename(root)  # over an empty folder, too
        except OSError:
            if not is_rendered(root, config, with_parts):  # else another process was first
                raise
    except OSError as error:
        raise OSError(f"render_dataset: {root} cannot be written; {error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return root
