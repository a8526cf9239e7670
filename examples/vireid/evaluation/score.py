"""Scoring features of any model by every variant of a data set's protocol."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from vireid.datasets.dataset import DataSet, Rows
from vireid.datasets.items import VISIBLE, Items
from vireid.datasets.llcm import LLCM
from vireid.datasets.regdb import RegDB
from vireid.datasets.sysu import Sysu
from vireid.datasets.tree import check_tree, person_of, read_labelled
from vireid.evaluation.features import Given, read_features
from vireid.evaluation.protocol import Results, as_metrics, check_tasks, evaluate, table
from vireid.evaluation.rerank import reranked
from vireid.evaluation.similarity import Similarity, cosine, looked_up
from vireid.evaluation.ties import count_ties, tie_sentence
from vireid.files import plain, write_json
from vireid.options import FeatureFiles

METRICS = "metrics.json"


def score(options: FeatureFiles, console: Console) -> None:
    """Score the features by every variant of the protocol; write metrics.json, then print the tables.

    Raises:
        ValueError, OSError: an error in the options or the files.
    """
    check_place(options)
    if options.rerank and options.similarity is not None:
        raise ValueError("evaluate: `--rerank` must have features, as it compares all images; got `--similarity`")
    given = read_features(options)
    variants = data_of(options, given.test).readings
    for data in variants.values():
        check_tasks(data)
    ways = similarities(given, rerank=options.rerank)
    notes = [*given.notes, *warn(options, given, ways[""])]
    found: dict[str, dict[str, Results]] = {}
    ties: dict[str, dict[str, float]] = {}
    rankings = sum(task.trials for data in variants.values() for task in data.tasks.values()) * (len(ways) + 1)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("ranking", total=rankings)
        for name, data in variants.items():
            counted = {way: _counted(one, lambda: bar.advance(task)) for way, one in ways.items()}
            found[name] = {way: evaluate(data, one) for way, one in counted.items()}
            ties[name] = count_ties(data, counted[""])
    options.out.mkdir(parents=True, exist_ok=True)
    metrics: dict[str, Any] = {"files": plain(options), "warnings": notes}
    for name, (plainly, *others) in ((name, some.values()) for name, some in found.items()):
        metrics[name] = as_metrics(plainly, dict(zip(list(ways)[1:], others, strict=True)))
        metrics[name] |= {"ties": ties[name]} | variants[name].reading
    write_json(options.out / METRICS, metrics)
    for name, some in found.items():
        console.print(table(some[""], {way: one for way, one in some.items() if way}))
        console.print(tie_sentence(ties[name]), highlight=False)
    for note in notes:
        console.print(f"[yellow]WARNING:[/yellow] {note}", highlight=False, soft_wrap=True)
    console.print(f"[bold]{options.out}[/bold] holds {METRICS}")


def check_place(options: FeatureFiles) -> None:
    """Raise a ValueError where results would be replaced that nobody gave up."""
    if (options.out / METRICS).exists() and not options.overwrite:
        raise ValueError(f"evaluate: {options.out} holds results already: --overwrite replaces them")


def data_of(options: FeatureFiles, test: Items) -> DataSet:
    """The data set of the images."""
    none, people = Items([]), tuple(test.identities.tolist())
    root = options.root or options.visible
    if options.protocol == "regdb":
        assert options.trial != "all"
        return RegDB(root, none, test, (), people, options.trial)
    if options.protocol == "llcm":
        return LLCM(root, none, test, (), people)
    return Sysu(root, none, test, (), people, "seeded" if options.root is None else "official")


def similarities(given: Given, *, rerank: bool) -> dict[str, Similarity]:
    """The similarity, with the key "", and after re-ranking, if wanted."""
    if given.features is None:
        assert given.similarity is not None
        return {"": looked_up(given.similarity, given.test)}
    plainly = {"": cosine(given.features, given.test)}
    return plainly | ({"rerank": reranked(given.features, given.test)} if rerank else {})


def warn(options: FeatureFiles, given: Given, similarity: Similarity) -> list[str]:
    """Warnings of what the results may hide."""
    notes = []
    visible, infrared = (np.flatnonzero((given.test.modality == VISIBLE) == side) for side in (True, False))
    values = similarity(visible, infrared)
    match = torch.from_numpy(given.test.identity[visible][:, None] == given.test.identity[infrared])
    same, other = (float(values[some].double().mean()) for some in (match, ~match))
    if same < other:
        notes.append(
            f"images of one identity are less similar ({same:.3g} on average) than others ({other:.3g}): is it a "
            "distance, whose negative should be scored, or are ids in another order than features?"
        )
    if options.protocol == "regdb":
        notes += _trained_on(options, set(given.test.identity.tolist()))
    elif options.protocol == "sysu":
        if options.root is None:
            notes.append("no official draws: --root must name the directory that has exp/rand_perm_cam.mat")
        groups = list(zip(given.test.camera[visible].tolist(), given.test.identity[visible].tolist(), strict=True))
        if len(set(groups)) == len(groups):
            notes.append(
                f"{options.visible}: one image per identity and camera, so that all draws are the same gallery"
            )
    return notes


def _trained_on(options: FeatureFiles, ids: set[int]) -> list[str]:
    """Whether identities are tested that the trial trains on, by the lists of RegDB."""
    if options.root is None:
        return ["whether identities of the training are tested is not known: --root must name RegDB's directory"]
    names = [f"idx/{half}_{m}_{options.trial}.txt" for half in ("train", "test") for m in RegDB.modalities]
    check_tree("evaluate", options.root, [], names)
    lists = [options.root / name for name in names]
    listed = [read_labelled(path) for path in lists]
    people = [{person_of(image, path) for image, _ in one} for path, one in zip(lists, listed, strict=True)]
    training, testing = people[0] | people[1], people[2] | people[3]
    if ids <= testing:
        return []
    if ids <= {label for one in listed[2:] for _, label in one}:
        return [
            "ids are labels of the trial's lists, not the numbers of folders: whether identities of the training are "
            "tested is not known"
        ]
    seen = sorted(ids & training)
    some = ", ".join(map(str, seen[:10])) + (", …" if len(seen) > 10 else "")
    return [f"{len(seen)} of {len(ids)} identities are trained on in trial {options.trial}: {some}"] if seen else []


def _counted(similarity: Similarity, advance: Callable[[], None]) -> Similarity:
    """A similarity that says when it was asked."""

    def told(query: Rows, gallery: Rows) -> Tensor:
        values = similarity(query, gallery)
        advance()
        return values

    return told
