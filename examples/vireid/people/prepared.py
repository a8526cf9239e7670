"""What is made once, before the first picture: the body's files, the six places, and the passers-by."""

from __future__ import annotations

import functools
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields

from rich.progress import Progress

from vireid.people import kept
from vireid.people.camera import CAMERAS
from vireid.people.crowd import load_crowd
from vireid.people.place import Plate, plate
from vireid.people.source import load_source


@functools.cache
def load_plate(number: int) -> Plate:
    """The plate of a camera."""

    def make() -> kept.Arrays:
        made = plate(CAMERAS[number])
        return {field.name: getattr(made, field.name) for field in fields(Plate)}

    return Plate(**kept.load(f"place-{number}", make))


def prepare_plate(number: int) -> None:
    load_plate(number)


def prepare(workers: int, *, progress: bool = True) -> None:
    """Make all that is missing."""
    missing = [number for number in CAMERAS if not kept.file_of(f"place-{number}").exists()]
    with Progress(disable=not progress, transient=True) as bar:
        task = bar.add_task("Preparing bodies, places and passers-by", total=len(missing) + 2)
        load_source()
        bar.advance(task)
        load_crowd()
        bar.advance(task)
        if not missing:
            return
        prepare_plate(missing[0])  # compiles the kernels, which the others then share
        bar.advance(task)
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            for _ in pool.map(prepare_plate, missing[1:]):
                bar.advance(task)
