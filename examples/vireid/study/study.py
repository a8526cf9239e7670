"""A study: every configuration over several seeds, side by side on the machine, each run resumed where it stood."""

from __future__ import annotations

import multiprocessing
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from vireid.config import SysuSettings
from vireid.files import read_json, write_json
from vireid.memory import keep_memory
from vireid.people.dataset import render_dataset
from vireid.run import decode, identify, read
from vireid.runs import RECORD, read_log
from vireid.study.benchmark import PEOPLE
from vireid.study.configurations import Configuration, Study
from vireid.study.scores import score
from vireid.training.directory import alone, check_finished
from vireid.training.loop import train
from vireid.workers import ending_workers

SCORES = "scores.json"
SHARED = ".shared"


@dataclass(frozen=True)
class Job:
    """One run: a configuration and a seed."""

    study: Study
    configuration: Configuration
    settings: SysuSettings

    @property
    def name(self) -> str:
        return f"{self.configuration.name}, seed {self.settings.seed}"

    @property
    def scores(self) -> Path:
        return self.settings.out / SCORES


def jobs_of(
    study: Study, some: Sequence[Configuration], seeds: int, *, root: Path, out: Path, steps: int | None
) -> list[Job]:
    """A job a configuration and seed, the first seed of all before the second of any.

    Only the comparison looks at test images; what is chosen is chosen on the validation identities.
    """
    jobs = []
    for seed in range(seeds):
        for one in some:
            settings = replace(
                one.settings,
                root=root,
                out=out / study / one.name.replace("/", "-") / f"seed-{seed}",
                seed=seed,
                scored="test" if study == "comparison" else "validation",
            )
            if steps is not None:
                settings = replace(settings, optim=replace(settings.optim, steps=steps))
            jobs.append(Job(study, one, settings))
    return jobs


def perform(job: Job, threads: int) -> None:
    """Train and score one run, or go on with it; its results are in its directory's scores.json."""
    keep_memory()
    torch.set_num_threads(threads)
    settings = replace(job.settings, resume=(job.settings.out / RECORD).exists())
    data = read(settings)
    console = Console(quiet=True)
    images = decode(settings.data, data, data.train, f"train-{settings.scored}")
    test = decode(settings.data, data, data.test, settings.scored)
    with alone(settings.out):
        split = {data.name: data.split}
        model, at, seconds = train(
            settings, data.train, images, data=identify(data), console=console, split=split, shared=shared_of(job)
        )
        scores = score(model, data, test, with_target_aware=job.configuration.target_aware, device=at.device)
        record = read_json(settings.out / RECORD)
        origin = {
            "configuration": job.configuration.name,
            "changes": job.configuration.changes,
            "seed": settings.seed,
            "scored": settings.scored,
            "steps": settings.optim.steps,
            "train_seconds": round(seconds, 1),
            "losses": last_losses(settings.out),
            "commit": record["commit"],
            "device": record["machine"]["device"],
        }
        write_json(job.scores, origin | scores)


def shared_of(job: Job) -> Path | None:
    """Where the runs of a seed keep what their frozen stages compute; nowhere on a GPU, which is faster than a file."""
    return None if torch.cuda.is_available() else job.settings.out.parents[1] / SHARED / job.settings.out.name


def read_scores(job: Job) -> dict[str, Any]:
    """What `perform` wrote.

    Raises:
        ValueError: it is damaged.
    """
    found = read_json(job.scores)
    if not isinstance(found, dict) or not {"configuration", "changes", "seed", "scored", "retrieval"} <= found.keys():
        raise ValueError(f"run_study: {job.scores} must be the scores of a run; it is something else")
    return found


def run_study(jobs: Sequence[Job], *, processes: int, threads: int, console: Console) -> list[dict[str, Any]]:
    """Perform every job that has not been, some at a time, and return the scores of all.

    Raises:
        ValueError: a directory holds a run with other settings, or on other data, or damaged scores.
        RuntimeError: some runs failed; the others are done.
    """
    render_dataset(jobs[0].settings.root or "", PEOPLE)
    finished = [job for job in jobs if job.scores.exists()]
    data = identify(read(jobs[0].settings)) if finished else {}  # all of a study have the same
    for job in finished:
        check_finished(job.settings, data)
        read_scores(job)
    todo = [job for job in jobs if job not in finished]
    failed: dict[str, BaseException] = {}
    columns = (TextColumn("{task.description}"), BarColumn(24), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool,
        Progress(*columns, console=console, disable=not console.is_terminal) as bar,
        ending_workers(),
    ):
        overall = bar.add_task("runs", total=len(jobs), completed=len(jobs) - len(todo))
        # No more are submitted than run: an interruption leaves nothing in the pool's queue.
        waiting, running = iter(todo), dict[Future[None], tuple[Job, TaskID]]()

        def submit() -> None:
            if (job := next(waiting, None)) is not None:
                task = bar.add_task(job.name, total=job.settings.optim.steps)
                running[pool.submit(perform, job, threads)] = (job, task)

        for _ in range(processes):
            submit()
        while running:
            done, _ = wait(running, timeout=2, return_when=FIRST_COMPLETED)
            for job, task in running.values():
                bar.update(task, completed=steps_of(job))
            for future in done:
                job, task = running.pop(future)
                if (error := future.exception()) is not None:
                    failed[job.name] = error
                if not console.is_terminal:
                    console.print(f"{time.strftime('%H:%M')} {job.name}: {error or 'done'}", highlight=False)
                folder = shared_of(job)
                if folder and all(one.scores.exists() for one in jobs if shared_of(one) == folder):
                    shutil.rmtree(folder, ignore_errors=True)
                bar.remove_task(task)
                bar.advance(overall)
                submit()
    if failed:
        raise RuntimeError("; ".join(f"{name}: {error}" for name, error in failed.items()))
    return [read_scores(job) for job in jobs]


def last_losses(out: Path) -> dict[str, float]:
    """Every figure of a run's log but its clock, averaged over the last tenth of the steps."""
    rows = read_log(out)
    last = rows[-max(len(rows) // 10, 1) :]
    names = last[0].keys() - {"step", "seconds", "lr"}
    return {name: round(fmean(row[name] for row in last), 5) for name in sorted(names)}


def steps_of(job: Job) -> int:
    """How far a run's log is."""
    log = job.settings.out / "log.jsonl"
    return log.read_bytes().count(b"\n") if log.exists() else 0
