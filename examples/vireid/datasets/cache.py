"""Images decoded once, into a memory-mapped array that all threads, processes and later runs share."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.progress import Progress

from vireid.files import reason_of
from vireid.lock import locked
from vireid.pictures import FORMATS, open_picture

Images = NDArray[np.uint8]
"""Decoded images [n h w 3]."""

VERSION = 3  # increase it whenever the same files would give other pixels
CHUNK = 256  # images decoded before they are written: bounds the memory
FEW = 64  # greys: fewer give a note, if they are less than half of the file's greys


def cache_images(
    paths: Sequence[Path | str],
    size: tuple[int, int],
    *,
    root: str | Path,
    cache_dir: str | Path | None = None,
    workers: int | None = None,
    progress: bool = True,
    name: str = "images",
) -> Images:
    """The images at `paths`, resized, as a read-only memory-mapped array [n h w 3] of uint8 RGB in their order.

    The first call writes a file, and later calls open it. Its name has a digest of its sources: each path below `root`
    with its size and time of change, the target size, and the version of this code. A changed data set is therefore
    decoded again. The file is written under a temporary name and renamed when it is complete. If several processes
    need it at the same time, one decodes and the others wait.

    Args:
        paths: files below `root`; row i of the array is file i. Images are turned as their EXIF says. Grey images
            become three equal channels. Pixels of 16 bits are divided by 257: all images by the same number, so that
            a darker image stays darker. A note names the first file in which this leaves few greys.
        size: (height, width) in pixels; resized by Pillow's bilinear filter with antialiasing, not keeping the aspect.
        root: directory of the data set; the digest has paths relative to it, so a moved data set keeps its cache.
        cache_dir: directory for the file; by default `root`/.cache.
        workers: threads that decode (Pillow releases the interpreter's lock); by default one per processor, at most
            8.
        progress: show a progress bar.
        name: start of the file's name, for people who look into the directory.

    Raises:
        ValueError: for a bad setting, or images that cannot be decoded; names up to ten of them.
        FileNotFoundError: a path is not a file.
        OSError: the cache cannot be written, or the disk is full.
    """
    root, files = Path(root), [Path(path) for path in paths]
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"cache_images: `size` must be (height, width), both at least 1; got {size}")
    if not files:
        raise ValueError("cache_images: `paths` must name at least one image; got none")
    if workers is not None and workers < 1:
        raise ValueError(f"cache_images: `workers` must be at least 1; got {workers}")
    folder = Path(cache_dir) if cache_dir is not None else root / ".cache"
    shape = (len(files), *size, 3)
    file = folder / f"{name}-{size[0]}x{size[1]}-{_digest(files, root, size)}.npy"
    if (array := _open(file, shape)) is not None:
        return array
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if (free := shutil.disk_usage(folder).free) < (needed := int(np.prod(shape))):
            raise OSError(f"{needed / 2**20:,.0f} MiB are needed, {free / 2**20:,.0f} are free")
        # Without locks, two processes may both decode; the last rename wins, and the file is complete.
        with locked(file.with_suffix(".lock"), wait=True) as alone:
            if (array := _open(file, shape)) is None:  # else another process wrote it while this one waited
                if alone:  # then no process uses these files: their process was killed
                    for left in folder.glob(f".{file.stem}-*.tmp"):
                        left.unlink(missing_ok=True)
                _build(file, files, shape, workers or min(8, os.cpu_count() or 1), progress)
    except OSError as error:
        raise OSError(
            f"cache_images: decoded images must fit into {folder.absolute()} "
            f"(`cache_dir`, or `--data.cache`, names another place): {error}"
        ) from error
    if array is None and (array := _open(file, shape)) is None:
        raise OSError(f"cache_images: {file.absolute()} was written but cannot be read back")
    return array


def _digest(paths: Sequence[Path], root: Path, size: tuple[int, int]) -> str:
    # The order of the paths is the order of the rows, so they are not sorted.
    digest = hashlib.sha256(json.dumps({"version": VERSION, "size": list(size)}).encode())
    for path in paths:
        try:
            status = path.stat()
        except OSError as error:
            raise FileNotFoundError(
                f"cache_images: every path must be a file; {path} cannot be read ({error})"
            ) from None
        relative = path.relative_to(root) if path.is_relative_to(root) else path.absolute()
        digest.update(json.dumps([relative.as_posix(), status.st_size, status.st_mtime_ns]).encode())
    return digest.hexdigest()[:32]


def _open(file: Path, shape: tuple[int, ...]) -> Images | None:
    try:
        array = np.load(file, mmap_mode="r")
    except (OSError, ValueError, EOFError):  # missing, or damaged from outside: it is written again
        return None
    return array if array.shape == shape and array.dtype == np.uint8 else None


def _build(file: Path, paths: list[Path], shape: tuple[int, ...], workers: int, progress: bool) -> None:
    broken: list[str] = []
    narrow: list[str] = []
    temporary = file.with_name(f".{file.stem}-{uuid4().hex}.tmp")
    try:
        # Plain writes, not a writable memory map: on a full disk they raise, where a map would kill the process.
        with temporary.open("xb") as out, ThreadPoolExecutor(workers) as pool, Progress(disable=not progress) as bar:
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(out, header)
            task = bar.add_task(f"decoding {len(paths):,} images", total=len(paths))
            for start in range(0, len(paths), CHUNK):
                decoded = pool.map(lambda path: decode_image(path, shape[1:3], narrow), paths[start : start + CHUNK])
                for result in decoded:
                    if isinstance(result, str):
                        broken.append(result)
                    elif not broken:  # after a broken image, the others are only decoded to name all broken ones
                        out.write(result.data)
                    bar.advance(task)
            out.flush()
            os.fsync(out.fileno())
            if narrow:
                more = f"; {len(narrow) - 1} more files are similar" if len(narrow) > 1 else ""
                note = f"note: cache_images: pixels of 16 bits are divided by 257; {min(narrow)}{more}"
                bar.console.print(note, soft_wrap=True, highlight=False, markup=False)
        if broken:
            more = f"; and {len(broken) - 10} more" if len(broken) > 10 else ""
            raise ValueError(
                f"cache_images: images must be complete and {', '.join(FORMATS)}; {len(broken)} of "
                f"{len(paths)} cannot be decoded: {'; '.join(broken[:10])}{more}"
            )
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)


def read_picture(path: Path, size: tuple[int, int]) -> Images:
    """The pixels [h w 3] of one file, as `cache_images` has them.

    Raises:
        FileNotFoundError, ValueError: there is no such file, or it cannot be decoded.
    """
    if not path.is_file():
        raise FileNotFoundError(f"read_picture: no image at {path.absolute()}")
    found = decode_image(path, size, [])
    if isinstance(found, str):
        raise ValueError(f"read_picture: an image must be complete and {', '.join(FORMATS)}; got {found}")
    return found


def decode_image(path: Path, size: tuple[int, ...], narrow: list[str]) -> Images | str:
    """The pixels [h w 3], or the file's error; a note is added to `narrow` if few greys are left in 8 bits."""
    height, width = size
    try:
        image = open_picture(path)
        if image.mode.startswith("I;16"):  # as some infrared cameras give
            deep = np.asarray(image)  # Pillow alone would keep the darkest 256 values and make all others white
            grey = (deep / 257).round().astype(np.uint8)
            few, many = len(np.unique(grey)), len(np.unique(deep))
            if few < min(FEW, many / 2):
                narrow.append(f"{path}, with values {deep.min()} … {deep.max()}, keeps {few} of {many} greys")
            image = Image.fromarray(grey)
        elif image.mode in ("I", "F"):
            raise ValueError(f"pixels must be of 8 or 16 bits; their mode in Pillow is {image.mode}")
    except ValueError as error:
        return f"{path} ({reason_of(error.__cause__ or error)})"
    return np.asarray(image.convert("RGB").resize((width, height), Image.Resampling.BILINEAR))
