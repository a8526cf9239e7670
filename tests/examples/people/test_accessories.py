"""Hair, beards, hats, shoes, bags and collars on bodies of all shapes: whole, bound to bones, around what is inside."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from vireid.people.bag import BAGS, Bag, hang, make_bag
from vireid.people.beard import BEARDS, make_beard
from vireid.people.body import Body, Shape, bone_matrices, build, posed, template
from vireid.people.collar import COLLARS, make_collar
from vireid.people.hair import hides_hair, make_hair, scalp
from vireid.people.hair_styles import CENTRE, HAIR
from vireid.people.hat import HATS, make_hat
from vireid.people.kernels import normals
from vireid.people.mesh import FAR, Piece, base_surface, bones_of
from vireid.people.pose import Action, Gait, turns_of
from vireid.people.shell import Fit, make_shell, top_cut
from vireid.people.shoes import CUTS, SHOES, make_shoes, opening
from vireid.people.trunk import Dressed, dressed

SHAPES = {
    "average": Shape(),
    "child": Shape(gender=0.05, weight=0.1, age=0.6, height=0.2),
    "heavy man": Shape(gender=0.95, weight=0.9, age=0.95, height=0.8),
    "heavy woman": Shape(gender=0.05, weight=0.9, age=0.95, height=0.2),
    "thin man": Shape(gender=0.95, weight=0.1, age=0.6, height=0.8),
}
every_shape = pytest.mark.parametrize("shape", SHAPES)


@functools.cache
def body_of(shape: str) -> Body:
    return build(SHAPES[shape])


@functools.cache
def shirt_of(shape: str) -> Piece:
    return make_shell(body_of(shape), top_cut(0.90, 0.18, 1.40), Fit(0.014, 0.6, 0.6))


@functools.cache
def clothes_of(shape: str) -> Dressed:
    return dressed(body_of(shape), shirt_of(shape))


def all_of(bag: Bag) -> list[Piece]:
    return [*bag.pieces, *bag.straps]


KINDS: dict[str, tuple[tuple[str, ...], Callable[[str, str], list[Piece]]]] = {
    "hair": (HAIR, lambda shape, kind: make_hair(body_of(shape), kind, clothes=clothes_of(shape))),
    "beard": (tuple(BEARDS), lambda shape, kind: [make_beard(body_of(shape), kind)]),
    "hat": (HATS, lambda shape, kind: make_hat(body_of(shape), kind, clothes=clothes_of(shape))),
    "shoes": (SHOES, lambda shape, kind: [(pair := make_shoes(body_of(shape), kind)).upper, pair.sole]),
    "bag": (BAGS, lambda shape, kind: all_of(make_bag(kind, clothes_of(shape)))),
    "collar": (COLLARS, lambda shape, kind: make_collar(body_of(shape), kind, clothes_of(shape))),
}
every_kind = pytest.mark.parametrize(
    ("sort", "kind"), [(sort, kind) for sort, (kinds, _) in KINDS.items() for kind in kinds]
)


def samples(pieces: Iterable[Piece], parts: int = 5) -> np.ndarray:
    """Points [n 3] spread over the triangles of pieces where there is cloth."""
    share = np.array([(a, b, parts - a - b) for a in range(parts + 1) for b in range(parts + 1 - a)]) / parts
    points = []
    for piece in pieces:
        faces = piece.triangles[(piece.edge[piece.triangles] >= 0).all(1)]
        points.append(np.einsum("ks,mse->mke", share, piece.vertices[faces]).reshape(-1, 3))
    return np.concatenate(points)


def outside(inner: np.ndarray, outer: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """How far points [n 3] reach beyond a surface's points, seen from a centre, in metres."""
    away, shell = inner - centre, outer - centre
    far, reach = np.linalg.norm(away, axis=1), np.linalg.norm(shell, axis=1)
    _, near = cKDTree(shell / reach[:, None]).query(away / far[:, None], 3)
    beyond: np.ndarray = far - reach[near].max(1)
    return beyond


@every_kind
@every_shape
def test_pieces_are_whole(sort: str, kind: str, shape: str) -> None:
    pieces = KINDS[sort][1](shape, kind)
    assert (kind == "bald") != bool(pieces)
    assert sum(len(piece.triangles) for piece in pieces) <= 4000
    for piece in pieces:
        count = len(piece.vertices)
        assert piece.uv is not None
        assert piece.vertices.dtype == piece.place.dtype == piece.uv.dtype == piece.edge.dtype == np.float32
        assert piece.triangles.dtype == piece.bones[0].dtype == np.int32
        assert piece.place.shape == (count, 3)
        assert piece.uv.shape == (count, 2)
        assert piece.edge.shape == (count,)
        for values in (piece.vertices, piece.place, piece.uv, piece.edge, piece.bones[1]):
            assert np.isfinite(values).all()
        assert piece.triangles.min() >= 0
        assert piece.triangles.max() < count
        assert piece.edge.max() <= FAR
        np.testing.assert_allclose(piece.bones[1].sum(1), 1, atol=1e-5)
        assert (piece.bones[1] >= 0).all()


@pytest.mark.parametrize("hat", HATS)
def test_hats_leave_no_hair_or_less_of_it(hat: str) -> None:
    body = body_of("average")
    for style in HAIR:
        free, under = make_hair(body, style), make_hair(body, style, hat=hat)
        assert all(len(piece.triangles) for piece in under)
        if hat == "headscarf":
            assert not under
        else:
            assert sum(len(piece.triangles) for piece in under) <= sum(len(piece.triangles) for piece in free)


@every_kind
def test_pieces_are_the_same_each_time_and_on_equal_grids(sort: str, kind: str) -> None:
    make = KINDS[sort][1]
    for first, again, other in zip(make("thin man", kind), make("thin man", kind), make("child", kind), strict=True):
        np.testing.assert_array_equal(first.vertices, again.vertices)
        np.testing.assert_array_equal(first.triangles, other.triangles)
        np.testing.assert_array_equal(first.place, other.place)


@every_kind
@every_shape
def test_pieces_do_not_tear_in_a_walk(sort: str, kind: str, shape: str) -> None:
    body = body_of(shape)
    action = Action(True, 0.1, ("swing", "call"), (0.7, 0.3), 0.0)
    matrices = bone_matrices(body.heads, turns_of(body.heads, Gait(), action))
    for piece in KINDS[sort][1](shape, kind):
        after = posed(piece.vertices, piece.bones, matrices)
        for corner in range(3):
            ends = piece.triangles[:, [corner, (corner + 1) % 3]]
            before, now = (
                np.linalg.norm(np.diff(points[ends], axis=1)[:, 0], axis=1) for points in (piece.vertices, after)
            )
            assert (now - before).max() < 0.06


@pytest.mark.parametrize("kind", [kind for kind in HATS if kind not in ("hood", "headscarf")])
@every_shape
def test_hats_enclose_the_skull_and_the_hair_under_them(kind: str, shape: str) -> None:
    body, surface = body_of(shape), base_surface("body")
    middle = make_hair(body, "buzz")[0].vertices.mean(0)
    hat = samples(make_hat(body, kind), 8)
    place = surface.fit(template().vertices)
    under = (place[:, 2] > 1.55) & (hides_hair(place, kind) > 0.012)
    assert outside(surface.fit(body.vertices)[under], hat, middle).max() < 0
    for style in ("afro", "long", "messy"):
        hair = make_hair(body, style, hat=kind)[0]
        under = hides_hair(hair.place, kind) > 0.012
        assert outside(hair.vertices[under], hat, middle).max() < 0.001


@pytest.mark.parametrize("style", [style for style in HAIR if style != "bald"])
@every_shape
def test_hair_covers_the_scalp(style: str, shape: str) -> None:
    body, surface = body_of(shape), base_surface("body")
    place = surface.fit(template().vertices)
    hair = make_hair(body, style)[:1]
    middle = hair[0].vertices.mean(0)
    covered = (scalp(place) > 0.03) & (np.linalg.norm(place - CENTRE, axis=1) > 0.06)
    if style == "receding":
        covered &= (place[:, 1] > 0.0) & (place[:, 2] < 1.62)
    beyond = outside(surface.fit(body.vertices)[covered], samples(hair, 8), middle)
    assert beyond.max() < 0


@pytest.mark.parametrize("kind", [kind for kind in SHOES if not CUTS[kind].straps])
@every_shape
def test_shoes_enclose_the_foot(kind: str, shape: str) -> None:
    body, surface = body_of(shape), base_surface("body")
    place, vertices = surface.fit(template().vertices), surface.fit(body.vertices)
    shoes = make_shoes(body, kind)
    seen = ~shoes.hides(place) & (place[:, 2] < max(0.15, CUTS[kind].shaft)) & (np.abs(place[:, 0]) < 0.33)
    for sign, side in ((1, "L"), (-1, "R")):
        own = seen & (sign * place[:, 0] > 0) & (opening(place, CUTS[kind]) > 0)
        left = np.sign(shoes.upper.place[shoes.upper.triangles[:, 0], 0]) == sign
        upper = samples([replace(shoes.upper, triangles=shoes.upper.triangles[left])], 6)
        ankle, ball = body.heads[f"foot.{side}"], body.heads[f"toe3-1.{side}"]
        centres = [ankle, 0.5 * (ankle + ball), ball, body.heads[f"lowerleg02.{side}"]]
        beyond = np.min([outside(vertices[own], upper, centre) for centre in centres], 0)
        assert beyond.max(initial=-1) < 0.001
    low = place[:, 2] < 0.02
    assert shoes.hides(place)[low].all()
    assert shoes.sole.vertices[:, 2].max() < 0.06
    assert shoes.sole.vertices[:, 2].min() < -0.008


def test_sandals_hide_nothing() -> None:
    place = base_surface("body").fit(template().vertices)
    assert not make_shoes(body_of("average"), "sandals").hides(place).any()


@pytest.mark.parametrize("kind", ["backpack", "shoulder bag", "waist bag"])
@every_shape
def test_straps_lie_outside_of_the_clothes(kind: str, shape: str) -> None:
    shirt = shirt_of(shape)
    outward = normals(shirt.vertices, shirt.triangles)
    cloth = shirt.edge > 0
    tree = cKDTree(shirt.vertices[cloth])
    for strap in make_bag(kind, clothes_of(shape)).straps[:2]:
        far, near = tree.query(strap.vertices)
        height = ((strap.vertices - shirt.vertices[cloth][near]) * outward[cloth][near]).sum(1)
        assert np.mean(height[far < 0.03] > -0.001) > 0.97


@pytest.mark.parametrize("kind", [kind for kind in BAGS if make_bag(kind, dressed(template())).hangs])
@every_shape
def test_bags_hang_from_the_left_hand(kind: str, shape: str) -> None:
    body = body_of(shape)
    bag = make_bag(kind, clothes_of(shape))
    matrices = bone_matrices(body.heads, turns_of(body.heads, Gait(), Action(True, 0.3, ("hang", "swing"), (0, 0), 0)))
    vertices = hang(bag, body, matrices)
    assert [points.shape for points in vertices] == [piece.vertices.shape for piece in all_of(bag)]
    surface = base_surface("body")
    skin = Piece(surface.fit(body.vertices), surface.triangles, bones_of(surface.ends), *[np.zeros(0)] * 3)
    hand = posed(skin.vertices, skin.bones, matrices)[surface.fit(template().vertices)[:, 0] > 0.50]
    handle = vertices[-1]
    assert np.linalg.norm(handle[handle[:, 2].argmax()] - hand.mean(0)) < 0.08
    assert vertices[0][:, 2].max() < hand[:, 2].min() + 0.05
    assert np.ptp(vertices[0][:, 2]) == pytest.approx(np.ptp(bag.pieces[0].vertices[:, 2]), rel=0.15)
