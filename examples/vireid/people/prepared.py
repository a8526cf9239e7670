"""What is made once, before the first picture: the body's files, the six places, the passers-by, and compiled loops."""

from __future__ import annotations

import functools
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import fields

import numpy as np
from rich.progress import Progress

from vireid.people import kept
from vireid.people.camera import CAMERAS
from vireid.people.crowd import load_crowd
from vireid.people.figure import dress
from vireid.people.person import draw_family
from vireid.people.picture import render
from vireid.people.place import Plate, plate


@functools.cache
def load_plate(number: int) -> Plate:
    """The plate of a camera."""

    def make() -> kept.Arrays:
        made = plate(CAMERAS[number])
        return {field.name: getattr(made, field.name) for field in fields(Plate)}

    arrays = kept.load(f"place-{number}", make)
    # In a file, float16 takes less room; a picture would take a millisecond to widen its part.
    return Plate(**{name: a.astype(np.float32) if a.dtype == np.float16 else a for name, a in arrays.items()})


def prepare_plate(number: int) -> None:
    load_plate(number)


def prepare_crowd() -> None:
    load_crowd()


def compile_loops(number: int) -> None:
    """Render a picture by a camera, so that other processes find all loops compiled."""
    render(dress(draw_family([0])[0]), CAMERAS[number], load_plate(number), np.random.default_rng(0), (32, 16))


def prepare(workers: int, *, progress: bool = True) -> None:
    """Make all that is missing: a minute and a half on two cores at first, nothing later."""
    missing = [number for number in CAMERAS if not kept.file_of(f"place-{number}").exists()]
    if not missing and kept.file_of("crowd").exists():
        return
    with (
        Progress(disable=not progress, transient=True) as bar,
        ProcessPoolExecutor(max(workers, 1), mp_context=multiprocessing.get_context("spawn")) as pool,
    ):
        task = bar.add_task("Preparing bodies, places and passers-by", total=len(missing) + 2)
        # The first place and the passers-by compile what the others use.
        crowd, first = pool.submit(prepare_crowd), pool.submit(prepare_plate, next(iter(CAMERAS)))
        for job in (crowd, first):
            job.result()
            bar.advance(task)
        jobs = [pool.submit(compile_loops, next(iter(CAMERAS)))]
        jobs += [pool.submit(prepare_plate, number) for number in missing if number != next(iter(CAMERAS))]
        for job in as_completed(jobs):
            job.result()
            bar.advance(task)
