"""Clothes on bodies: they enclose what they cover, in every pose, and hang where they should."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from vireid.people.body import Shape
from vireid.people.drape import STEPS, TURNS, Drape, hang, supports
from vireid.people.figure import Figure, dress, pose_figure
from vireid.people.fragments import find_fragments
from vireid.people.labels import Part
from vireid.people.person import Person, draw_family
from vireid.people.pose import Action
from vireid.people.rings import convex, hulls, hung, ring_radii
from vireid.people.shell import Inside
from vireid.people.wardrobe import BOTTOMS, DRESSES, OVERS, TOPS

SHAPES = [
    Shape(gender=0.05, age=0.65, weight=0.10, height=0.3),
    Shape(gender=0.05, age=0.90, weight=0.95, height=0.3),
    Shape(gender=0.95, age=0.80, weight=0.95, height=0.5),
    Shape(gender=0.50, age=0.45, weight=0.40, height=0.3),
]
ACTIONS = [
    Action(True, 0.05, ("swing", "phone"), (0.3, 0.2), 0.0),
    Action(False, 0.5, ("pocket", "call"), (0.0, 0.1), 0.04),
]
PIERCED = 0.004
"""Largest share of a figure's pixels in which what a garment covers shows through it."""


def person(**changes: object) -> Person:
    family = (draw_family([3, number])[0] for number in range(99))
    plain = next(p for p in family if p.over is None and p.bottom is not None and p.bag is None)
    return replace(plain, **changes)  # type: ignore[arg-type]


def pierced(figure: Figure, action: Action, cover: Inside | None = None, skirt: str = "") -> tuple[int, int]:
    """The pixels in which skin shows that a garment covers by more than a centimetre, and the figure's pixels.

    A garment covers what is inside of its cut on the template. A skirt, which hangs, covers what is above its hem.
    """
    soup = pose_figure(figure, action, 0.3)
    shown = total = 0
    for heading in (0.4, 3.0):
        cos, sin = np.cos(heading), np.sin(heading)
        v = soup.vertices @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]], np.float32)
        v[:, 2] -= v[soup.drawn, 2].min()
        pixels = 72 + 130 * v[:, 0], 280 - 130 * (0.98 * v[:, 2] + 0.2 * v[:, 1]), 20 + v[:, 1] - 0.2 * v[:, 2]
        seen = find_fragments(soup, v, pixels, np.array([0, -20.0, 4.0]), (288, 144))
        part = np.array([material.part for material in soup.materials])[seen.owner]
        skin = part == Part.SKIN
        place, height = seen.place[skin], seen.position[skin, 2]
        if cover is not None:
            shown += int((cover(place) > 0.01).sum())
        if skirt:
            mine = [i for i, material in enumerate(soup.materials) if material.kind == skirt]
            cloth = soup.triangles[soup.owner == mine[-1]].ravel()
            hem = v[cloth[soup.edge[cloth] >= 0], 2].min()
            legs = (np.abs(place[:, 0]) < 0.24) & (place[:, 2] < 0.92)
            shown += int((legs & (height > hem + 0.02)).sum())
        total += len(part)
    return shown, total


@pytest.mark.parametrize("kind", [*TOPS, *OVERS, *DRESSES])
def test_no_body_pierces_a_garment_of_the_upper_body(kind: str) -> None:
    shown = total = 0
    for shape in SHAPES:
        base = person(shape=shape)
        if kind in OVERS:
            wearer, cut = replace(base, over=replace(base.top, kind=kind)), OVERS[kind].cut
        else:
            wearer = replace(base, top=replace(base.top, kind=kind))
            cut = ({**TOPS, **DRESSES})[kind].cut
            if kind in DRESSES:
                wearer = replace(wearer, bottom=None)
        figure = dress(wearer)
        for action in ACTIONS:
            more = pierced(figure, action, cut)
            shown, total = shown + more[0], total + more[1]
    assert shown <= PIERCED * total, f"{shown} of {total} pixels"


@pytest.mark.parametrize("kind", BOTTOMS)
def test_no_body_pierces_a_garment_of_the_lower_body(kind: str) -> None:
    shown = total = 0
    bottom = BOTTOMS[kind]
    for shape in SHAPES:
        base = person(shape=shape)
        assert base.bottom is not None
        figure = dress(replace(base, bottom=replace(base.bottom, kind=kind)))

        for action in ACTIONS:
            more = pierced(figure, action, None if bottom.skirt else bottom.cut(0.85), "skirt" if bottom.skirt else "")
            shown, total = shown + more[0], total + more[1]
    assert shown <= PIERCED * total, f"{shown} of {total} pixels"


def test_convex_rings_agree_with_the_hull() -> None:
    from scipy.spatial import ConvexHull

    rng = np.random.default_rng(0)
    radius = rng.uniform(0.1, 0.2, (1, 36)).astype(np.float32)
    angle = 2 * np.pi * np.arange(36) / 36
    points = radius[0][:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    normals = ConvexHull(points).equations
    for t in range(36):
        ray = np.array([np.cos(angle[t]), np.sin(angle[t])])
        expected = min(
            -offset / (normal @ ray)
            for *normal_, offset in normals
            for normal in [np.array(normal_)]
            if normal @ ray > 1e-9
        )
        found = convex(radius)[0, t]
        assert found >= radius[0, t] - 1e-6
        assert expected - 1e-4 <= found <= 1.05 * expected + 1e-4  # supports are known in 36 directions only


def test_hung_cloth_never_goes_in_faster_than_allowed() -> None:
    rings = np.random.default_rng(1).uniform(0.1, 0.2, (20, 8)).astype(np.float32)
    out = hung(rings, 0.003)
    assert (out >= rings).all()
    assert (out[1:] >= out[:-1] - 0.0030001).all()


def test_gaps_of_rings_are_filled() -> None:
    rings = ring_radii(np.array([0.5, 2.5]), np.array([0.0, 3.0]), np.array([0.1, 0.2], np.float32), 3, 6)
    assert (rings > 0).all()
    assert rings[0, 0] == np.float32(0.1)
    assert rings[2, 3] == np.float32(0.2)


def test_skirts_enclose_what_is_inside() -> None:
    rng = np.random.default_rng(2)
    points = rng.normal(0, (0.09, 0.07, 0.2), (3000, 3)).astype(np.float32) + np.array([0, 0, 0.8], np.float32)
    drape = Drape(0.5, flare=0.1, folds=0.0, ease=0.004)
    cloth = hang(drape, points, np.zeros(2), 1.02, 1.0, 0.0)
    rings = cloth.vertices.reshape(STEPS, TURNS + 1, 3)
    radius = np.hypot(rings[..., 0], rings[..., 1])
    inside = (points[:, 2] < rings[1, 0, 2]) & (points[:, 2] > rings[-2, 0, 2])
    step = (rings[0, 0, 2] - points[inside, 2]) / (rings[0, 0, 2] - rings[1, 0, 2])
    turn = (np.arctan2(points[inside, 0], -points[inside, 1]) / (2 * np.pi) % 1) * TURNS
    nearest = radius[np.rint(step).astype(int), np.rint(turn).astype(int)]
    assert (nearest > np.hypot(points[inside, 0], points[inside, 1]) - 0.002).mean() > 0.998
    assert (np.diff(radius.mean(1)) >= -1e-5).all()  # with a flare, they widen toward the hem
    np.testing.assert_allclose(rings[:, 0], rings[:, -1], atol=1e-5)  # closed


def test_supports_agree_with_the_formula() -> None:
    rng = np.random.default_rng(3)
    points = rng.normal(0, 0.1, (200, 3)).astype(np.float32)
    found = supports(points, np.array([0.01, -0.02]), 0.2, -0.2, 9, 12, 0.06)
    for s, height in enumerate(np.linspace(0.2, -0.2, 9)):
        near = points[np.abs(points[:, 2] - height) <= 0.06]
        for t in range(12):
            angle = 2 * np.pi * t / 12
            reach = (near[:, 0] - 0.01) * np.sin(angle) - (near[:, 1] + 0.02) * np.cos(angle)
            assert found[s, t] == pytest.approx(max(reach.max(initial=0), 0), abs=2e-6)
    assert (hulls(found) >= 0).all()


def test_longer_garments_reach_farther_down() -> None:
    def lowest(kind: str) -> float:
        base = person()
        assert base.bottom is not None
        soup = pose_figure(dress(replace(base, bottom=replace(base.bottom, kind=kind))), ACTIONS[1], 0.1)
        mine = [i for i, material in enumerate(soup.materials) if material.part is Part.LOWER]
        used = soup.triangles[np.isin(soup.owner, mine)].ravel()
        used = used[soup.edge[used] >= 0]
        return float(soup.vertices[used, 2].min() - soup.vertices[soup.drawn, 2].min())

    heights = [lowest(kind) for kind in ("short skirt", "knee-length skirt", "long skirt")]
    assert heights[0] > heights[1] + 0.1 > heights[2] + 0.3
    assert lowest("shorts") > lowest("knee-length shorts") + 0.05 > lowest("trousers") + 0.3


def test_a_figure_is_light_enough() -> None:
    for number, shape in product(range(2), SHAPES[:2]):
        figure = dress(replace(draw_family([5, number])[0], shape=shape))
        soup = pose_figure(figure, ACTIONS[0], 0.5)
        assert np.isfinite(soup.vertices).all()
        assert len(soup.triangles) < 110_000
        assert soup.triangles.max() < len(soup.vertices)
