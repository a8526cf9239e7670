"""A directory of images of any size into a store: with several processes, and from where an interruption left it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from accelerate.utils import broadcast_object_list, gather_object
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from torch import Tensor

from concordant import Encoded
from vireid.datasets.cache import Images, decode_image
from vireid.evaluation.inference import encode, extract
from vireid.files import is_litter
from vireid.models.hub import HubCAL
from vireid.pictures import SUFFIXES
from vireid.search.beside import open_parts
from vireid.search.parts import PartStore
from vireid.search.parts_code import PartSettings
from vireid.search.store import UNKNOWN, Identity, Records, Store, ids_of, open_store
from vireid.training.processes import join_processes, together
from vireid.training.progress import print_note

CHUNK = 512
"""Images that a process embeds before they are added: what an interruption loses at most."""
LISTED = 1 << 14
"""Names that are looked up at a time."""


class Embedded(NamedTuple):
    """Images of one process that were embedded, and the errors of those that cannot be decoded."""

    names: list[str]
    times: list[float]
    embeddings: NDArray[np.float32]
    broken: list[str]


class Added(NamedTuple):
    """What `add_directory` has done."""

    before: int
    """Images that were in the store already."""
    added: int
    broken: list[str]
    """The errors of the images that cannot be decoded."""


def add_directory(
    where: str,
    identity: Identity,
    model: HubCAL,
    folder: Path,
    *,
    modality: int,
    camera: re.Pattern[str],
    parts: PartSettings | None,
    console: Console,
) -> Added:
    """Embed the images below a directory that a store lacks, and add them; also to its part store, if it has one.

    The name of an image is its absolute path, its time that of the file's last change. Images that cannot be decoded
    are listed, and left out. With several processes each embeds a share, and the main one writes.

    Args:
        camera: a pattern whose group, in the path of an image, is the number of its camera.
        parts: a part store is created with these settings if there is none.

    Raises:
        ValueError, OSError: the directory has no images, or the store cannot be used; what was added before stays.
    """
    state = join_processes()
    model = model.to(state.device)
    console.quiet = not state.is_main_process
    result = Added(0, 0, [])
    with ExitStack() as held:
        store: list[Store] = []
        plan: list[tuple[int, list[str]]] = [(0, [])]

        def prepare() -> None:
            names = images_below(folder)
            store.append(held.enter_context(open_store(where, identity, write=True)))
            plan[0] = (len(names), lacking(store[0], open_parts(where, identity, parts), names))
            if unknown := [name for name in plan[0][1] if camera_of(name, camera) == UNKNOWN]:
                lost = f"{len(unknown):,} paths have no camera that `--camera` {camera.pattern!r} finds"
                print_note(console, f"{lost}; the first is {unknown[0]}")

        together(prepare)
        broadcast_object_list(plan)
        kept = open_parts(where, identity)
        (found, missing), columns = (
            plan[0],
            ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()),
        )
        result = result._replace(before=found - len(missing))
        with Progress(*columns, console=console) as bar:
            task = bar.add_task("embedding images", total=found, completed=result.before)
            for mine in embedded(model, share(missing, state.process_index, state.num_processes), modality, kept):
                every: list[Embedded] = gather_object([mine])
                together(lambda some=every: put(store[0], some, camera, modality))  # type: ignore[misc]
                now = sum(len(one.names) for one in every)
                broken = [error for one in every for error in one.broken]
                result = result._replace(added=result.added + now, broken=[*result.broken, *broken])
                bar.advance(task, now + len(broken))
        together(lambda: store[0].save())
    return result


def put(store: Store, some: Sequence[Embedded], camera: re.Pattern[str], modality: int) -> None:
    """Add what the processes have embedded."""
    if names := [name for one in some for name in one.names]:
        rows = np.concatenate([one.embeddings for one in some if one.names])
        cameras = np.array([camera_of(name, camera) for name in names])
        times = np.array([time for one in some for time in one.times])
        records = Records(ids_of(names), names, cameras, times, np.full(len(names), modality))
        store.add(torch.from_numpy(rows), records)


def images_below(folder: Path) -> list[str]:
    """The absolute paths of the images below a directory, in their order.

    Raises:
        FileNotFoundError: there is no such directory, or no image in it.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"images_below: the images must be below a directory; got {folder}")
    names = []
    for place, folders, files in os.walk(os.path.abspath(folder), followlinks=True):
        folders[:] = [name for name in folders if not is_litter(name)]
        wanted = (name for name in files if Path(name).suffix.lower() in SUFFIXES and not is_litter(name))
        names += [os.path.join(place, name) for name in wanted]
    if not names:
        raise FileNotFoundError(f"images_below: {folder} must have images ({', '.join(sorted(SUFFIXES))}); got none")
    return sorted(names)


def lacking(store: Store, parts: PartStore | None, names: Sequence[str]) -> list[str]:
    """The images that are not in a store, or not in its part store."""
    missing: list[str] = []
    kept = None if parts is None else parts.ids.numpy()
    for start in range(0, len(names), LISTED):
        some = names[start : start + LISTED]
        ids = ids_of(some)
        held = store.held(ids) if kept is None else store.held(ids) & np.isin(ids, kept)
        missing += [name for name, there in zip(some, held, strict=True) if not there]
    return missing


def share(names: Sequence[str], rank: int, ranks: int) -> list[list[str]]:
    """The chunks of one process, as many as of each other one: the last one may be empty."""
    starts = range(0, len(names), CHUNK * ranks)
    return [list(names[start + CHUNK * rank : start + CHUNK * (rank + 1)]) for start in starts]


def embedded(model: HubCAL, chunks: Sequence[list[str]], modality: int, parts: PartStore | None) -> Iterator[Embedded]:
    """The embeddings of each chunk; the next chunk is decoded meanwhile.

    Parts are kept before the embeddings are: what a search finds has parts.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        decoding = [decode(pool, model, chunk) for chunk in chunks[:1]]
        for number, chunk in enumerate(chunks):
            decoded = [future.result() for future in decoding.pop()]
            decoding = [decode(pool, model, after) for after in chunks[number + 1 : number + 2]]
            names = [name for name, one in zip(chunk, decoded, strict=True) if not isinstance(one, str)]
            pixels = [one for one in decoded if not isinstance(one, str)]
            rows = embed(model, pixels, modality).numpy() if pixels else np.zeros((0, 0), np.float32)
            if pixels and parts is not None:
                parts.add(encoded(model, pixels, modality), torch.from_numpy(ids_of(names)))
            times = [os.stat(name).st_mtime for name in names]
            yield Embedded(names, times, rows, [one for one in decoded if isinstance(one, str)])


def decode(pool: Executor, model: HubCAL, names: Sequence[str]) -> list[Future[Images | str]]:
    """The pixels of images in the size of the model, or the errors of broken ones."""
    size = (model.config.height, model.config.width)
    return [pool.submit(decode_image, Path(name), size, []) for name in names]


def embed(model: HubCAL, pixels: Sequence[Images], modality: int) -> Tensor:
    """Embeddings [n e] of decoded images of one modality."""
    device = next(model.parameters()).device
    return extract(model, np.stack(pixels), np.full(len(pixels), modality), device=device, progress=False)


def encoded(model: HubCAL, pixels: Sequence[Images], modality: int) -> Encoded:
    """Decoded images of one modality as the second stage compares them."""
    device = next(model.parameters()).device
    return encode(model, np.stack(pixels), np.full(len(pixels), modality), device=device, progress=False)


def camera_of(name: str, pattern: re.Pattern[str]) -> int:
    """The number of the camera in a path, or `UNKNOWN`; that of the innermost directory, if several have one.

    Raises:
        ValueError: what the pattern finds is no number.
    """
    found = pattern.findall(name)
    try:
        return int(np.int64(found[-1])) if found else UNKNOWN
    except (ValueError, OverflowError):
        rule = f"`--camera` {pattern.pattern!r} must find the number of a camera"
        raise ValueError(f"camera_of: {rule}; got {found[-1]!r} in {name}") from None
