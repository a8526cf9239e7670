"""A dressed figure: all surfaces of a person, unposed; and posed, as one soup of triangles."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vireid.people.bag import Bag, make_bag
from vireid.people.bag import hang as hang_bag
from vireid.people.beard import make_beard
from vireid.people.body import Body, bone_matrices, build, posed, template
from vireid.people.collar import make_collar
from vireid.people.drape import Drape, Hanging, hang
from vireid.people.fabric import Fabric
from vireid.people.hair import make_hair
from vireid.people.hat import make_hat
from vireid.people.labels import Part
from vireid.people.mesh import FAR, Bones, Piece, base_surface, bones_of
from vireid.people.person import Person, Worn
from vireid.people.pose import Action, turns_of
from vireid.people.shell import Inside, make_shell
from vireid.people.shoes import make_shoes
from vireid.people.trunk import dressed
from vireid.people.wardrobe import BOTTOMS, DRESSES, OVERS, TOPS, Top, under

OVERLAP = 0.035
"""How far a garment goes on under another, in metres, before it is left out."""

BEARDED = 0.5
"""A beard that is fuller than this has a form of its own."""


@dataclass(frozen=True)
class Material:
    """What a surface is made of: cloth, or the body itself."""

    kind: str
    """The kind of its fabric; or skin, hair."""
    part: Part
    fabric: Fabric | None = None


@dataclass(frozen=True)
class Layer:
    """A surface that moves with the bones."""

    material: Material
    piece: Piece


@dataclass(frozen=True)
class FreeCloth:
    """A surface that hangs."""

    material: Material
    drape: Drape


@dataclass(frozen=True)
class Soup:
    """All surfaces as one mesh: [n …] of vertices, [m …] of triangles."""

    vertices: np.ndarray
    triangles: np.ndarray
    place: np.ndarray
    uv: np.ndarray
    edge: np.ndarray
    owner: np.ndarray
    """[m] the number of each triangle's surface."""
    materials: tuple[Material, ...]
    """Of each surface."""
    unrolled: np.ndarray
    """[surfaces] whether uv is to be unrolled from `place`, not read."""

    @property
    def drawn(self) -> np.ndarray:
        """[n] which vertices are seen: not beyond a hem."""
        seen: np.ndarray = self.edge >= 0
        return seen


@dataclass(frozen=True)
class Figure:
    """A dressed body; built once for all pictures of a person."""

    person: Person
    body: Body
    rest: Soup
    """All that moves with the bones, unposed."""
    bones: Bones
    """Of its vertices."""
    inside: tuple[np.ndarray, Bones]
    """Points of the body and of what is worn below the waist, around which skirts hang."""
    waist: tuple[np.ndarray, Bones]
    """Points around the waist."""
    free: tuple[FreeCloth, ...]
    bag: Bag | None
    """A bag that hangs from the hand."""
    bag_material: Material | None


Surface = tuple[Material, np.ndarray, Piece | Hanging]
"""A material, the vertices [n 3], and the rest of a mesh."""


def join(surfaces: Sequence[Surface], first: int = 0) -> Soup:
    """Surfaces as one mesh, whose vertices are numbered from `first` on."""
    sizes = np.cumsum([first] + [len(vertices) for _, vertices, _ in surfaces])
    meshes = [mesh for _, _, mesh in surfaces]
    uv = [np.zeros((len(mesh.place), 2)) if mesh.uv is None else mesh.uv for mesh in meshes]
    return Soup(
        np.concatenate([vertices for _, vertices, _ in surfaces]).astype(np.float32),
        np.concatenate([mesh.triangles + sizes[i] for i, mesh in enumerate(meshes)]).astype(np.int32),
        np.concatenate([mesh.place for mesh in meshes]).astype(np.float32),
        np.concatenate(uv).astype(np.float32),
        np.concatenate([mesh.edge for mesh in meshes]).astype(np.float32),
        np.concatenate([np.full(len(mesh.triangles), i, np.int32) for i, mesh in enumerate(meshes)]),
        tuple(material for material, _, _ in surfaces),
        np.array([mesh.uv is None for mesh in meshes]),
    )


def used(piece: Piece) -> Piece:
    """A piece without the vertices that no triangle has."""
    has = np.zeros(len(piece.vertices), bool)
    has[piece.triangles] = True
    numbers = np.flatnonzero(has)
    return Piece(
        piece.vertices[numbers],
        (np.cumsum(has, dtype=np.int32) - np.int32(1))[piece.triangles],
        (piece.bones[0][numbers], piece.bones[1][numbers]),
        piece.place[numbers],
        None if piece.uv is None else piece.uv[numbers],
        piece.edge[numbers],
    )


def points_of(pieces: Sequence[Piece], wanted: Callable[[Piece], np.ndarray]) -> tuple[np.ndarray, Bones]:
    """The vertices of pieces that are wanted, and their bones."""
    picked = [(piece, wanted(piece)) for piece in pieces]
    index, weight = (np.concatenate([piece.bones[k][mask] for piece, mask in picked]) for k in (0, 1))
    return np.concatenate([piece.vertices[mask] for piece, mask in picked]).astype(np.float32), (index, weight)


def without(piece: Piece, hidden: np.ndarray) -> Piece:
    """A piece without the triangles all of whose vertices are hidden [n]."""
    keep = ~hidden[piece.triangles].all(1)
    return replace(piece, triangles=np.ascontiguousarray(piece.triangles[keep]))


@functools.cache
def template_piece(name: str) -> Piece:
    """A surface of the base mesh on the template; its uv are the places of its texture."""
    surface = base_surface(name)
    uv = np.zeros((len(surface.ends), 2), np.float32)
    uv[surface.triangles.ravel()] = surface.corners.reshape(-1, 2)
    place = surface.fit(template().vertices)
    edge = np.full(len(place), FAR, np.float32)
    return Piece(place, surface.triangles, bones_of(surface.ends), place, uv, edge)


def base_piece(body: Body, name: str) -> Piece:
    """A surface of the base mesh on a body."""
    return replace(template_piece(name), vertices=base_surface(name).fit(body.vertices))


def dress(person: Person) -> Figure:
    """Build the body of a person and all that it wears."""
    body = build(person.shape)
    layers: list[Layer] = []
    free: list[FreeCloth] = []
    top = DRESSES.get(person.top.kind) or TOPS[person.top.kind]
    covers: list[Inside] = [top.cut]
    over = OVERS[person.over.kind] if person.over else None
    layers += worn(body, person.top, top, Part.UPPER)
    if top.skirt is not None:
        free.append(FreeCloth(Material(top.fabric, Part.UPPER, person.top.fabric), top.skirt))
    if person.over is not None and over is not None:
        layers += worn(body, person.over, over, Part.UPPER)
        covers.append(over.cut)
        if over.skirt is not None:
            free.append(FreeCloth(Material(over.fabric, Part.UPPER, person.over.fabric), over.skirt))
    # What an outer garment covers well is left out of those below it.
    if over is not None:
        first = layers[0]
        layers[0] = replace(first, piece=without(first.piece, over.cut(first.piece.place) > OVERLAP))
    if person.bottom is not None:
        bottom = BOTTOMS[person.bottom.kind]
        reach = top.hem + OVERLAP
        material = Material(bottom.fabric, Part.LOWER, person.bottom.fabric)
        if bottom.skirt is not None:
            free.append(FreeCloth(material, under(bottom.skirt, reach)))
        elif bottom.fit is not None:
            cut = bottom.cut(reach)
            layers.append(Layer(material, make_shell(body, cut, bottom.fit)))
            covers.append(cut)
    clothes = dressed(body, *(layer.piece for layer in layers))
    shoes = make_shoes(body, person.shoes.kind)
    layers = [
        replace(layer, piece=without(layer.piece, shoes.hides(layer.piece.place)))
        if layer.material.part is Part.LOWER
        else layer
        for layer in layers
    ]
    layers.append(Layer(Material("shoes", Part.SHOES, person.shoes.fabric), shoes.upper))
    layers.append(Layer(Material("sole", Part.SHOES, person.shoes.second), shoes.sole))
    hat = person.hat.kind if person.hat else None
    layers += [
        Layer(Material("hair", Part.HAIR), piece)
        for piece in make_hair(body, person.hair.style, hat=hat, clothes=clothes)
    ]
    if person.skin.beard > BEARDED:
        beard = "full beard" if person.skin.beard > 0.8 else "short beard"
        layers.append(Layer(Material("hair", Part.FACE), make_beard(body, beard)))
    if person.hat is not None:
        layers += [
            Layer(Material("hat", Part.HAT, person.hat.fabric), piece)
            for piece in make_hat(body, person.hat.kind, clothes=clothes)
        ]
    bag = bag_material = None
    if person.bag is not None:
        bag_material = Material("bag", Part.BAG, person.bag.fabric)
        bag = make_bag(person.bag.kind, clothes)
        layers += [Layer(bag_material, piece) for piece in (() if bag.hangs else (*bag.pieces, *bag.straps))]
    skin = base_piece(body, "body")
    hidden = shoes.hides(skin.place)
    for cut in covers:
        hidden |= cut(skin.place) > OVERLAP
    for cloth in free:
        z = skin.place[:, 2]
        hidden |= (
            (z > cloth.drape.hem + 2 * OVERLAP) & (z < cloth.drape.waist - OVERLAP) & (np.abs(skin.place[:, 0]) < 0.24)
        )
    layers.append(Layer(Material("skin", Part.SKIN), without(skin, hidden)))
    below = [layer.piece for layer in layers if layer.material.part in (Part.SKIN, Part.LOWER, Part.UPPER)]
    shown = [replace(layer, piece=used(layer.piece)) for layer in layers if len(layer.piece.triangles)]
    index, weight = (np.concatenate([layer.piece.bones[k] for layer in shown]) for k in (0, 1))
    return Figure(
        person,
        body,
        join([(layer.material, layer.piece.vertices, layer.piece) for layer in shown]),
        (index, weight),
        points_of(below, below_waist),
        points_of([skin], at_waist),
        tuple(free),
        bag if bag is not None and bag.hangs else None,
        bag_material,
    )


def worn(body: Body, what: Worn, top: Top, part: Part) -> list[Layer]:
    """A garment of the upper body with its collar."""
    material = Material(top.fabric, part, what.fabric)
    shell = make_shell(body, top.cut, top.fit)
    collar = make_collar(body, top.collar, dressed(body, shell)) if top.collar else []
    return [Layer(material, piece) for piece in (shell, *collar)]


SHARED = ("vertices", "triangles", "place", "uv", "edge", "unrolled")


def pose_figure(figure: Figure, action: Action, seed: float) -> Soup:
    """The figure in a pose; `seed` (0 to 1) varies how free cloth folds."""
    matrices = bone_matrices(figure.body.heads, turns_of(figure.body.heads, figure.person.gait, action))
    moved = replace(figure.rest, vertices=posed(figure.rest.vertices, figure.bones, matrices))
    more: list[Surface] = []
    if figure.free:
        inside = [posed(*figure.inside, matrices)]
        waist = posed(*figure.waist, matrices)
        centre = 0.5 * (waist[:, :2].min(0) + waist[:, :2].max(0))
        scale = float(figure.body.vertices[:, 2].max()) / 1.70
        for cloth in reversed(figure.free):  # the bottom first, then what hangs over it
            hung = hang(cloth.drape, np.concatenate(inside), centre, float(waist[:, 2].mean()), scale, seed)
            more.append((cloth.material, hung.vertices, hung))
            inside.append(hung.vertices[hung.edge >= 0])
    if figure.bag is not None and figure.bag_material is not None:
        pieces = (*figure.bag.pieces, *figure.bag.straps)
        placed = hang_bag(figure.bag, figure.body, matrices)
        more += [(figure.bag_material, vertices, piece) for vertices, piece in zip(placed, pieces, strict=True)]
    if not more:
        return moved
    added = join(more, first=len(moved.vertices))
    both = {name: np.concatenate([getattr(moved, name), getattr(added, name)]) for name in SHARED}
    owner = np.concatenate([moved.owner, added.owner + np.int32(len(moved.materials))])
    return Soup(owner=owner, materials=moved.materials + added.materials, **both)


def below_waist(piece: Piece) -> np.ndarray:
    """Which vertices [n] are inside of a skirt: of the trunk and the legs below the waist, and not beyond a hem."""
    z, x = piece.place[:, 2], np.abs(piece.place[:, 0])
    inside: np.ndarray = (z < 1.09) & (x < 0.30 - 0.08 * (z > 0.85)) & (piece.edge >= 0)
    return inside


def at_waist(piece: Piece) -> np.ndarray:
    """Which vertices [n] lie around the waist."""
    around: np.ndarray = (np.abs(piece.place[:, 2] - 1.02) < 0.015) & (np.abs(piece.place[:, 0]) < 0.25)
    return around
