"""A dressed figure: all surfaces of a person, unposed; and posed, as one soup of triangles."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from vireid.people.bag import Bag, make_bag
from vireid.people.bag import hang as hang_bag
from vireid.people.beard import make_beard
from vireid.people.body import Body, bone_matrices, build, posed, template
from vireid.people.collar import make_collar
from vireid.people.drape import Drape, hang
from vireid.people.fabric import Fabric
from vireid.people.hair import make_hair
from vireid.people.hat import make_hat
from vireid.people.labels import Part
from vireid.people.mesh import FAR, Piece, base_surface, bones_of
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
class Figure:
    """A dressed body; built once for all pictures of a person."""

    person: Person
    body: Body
    layers: tuple[Layer, ...]
    free: tuple[FreeCloth, ...]
    bag: Bag | None
    """A bag that hangs from the hand."""
    bag_material: Material | None


@dataclass(frozen=True)
class Soup:
    """All surfaces in a pose, as one mesh: [n …] of vertices, [m …] of triangles."""

    vertices: np.ndarray
    triangles: np.ndarray
    place: np.ndarray
    uv: np.ndarray
    edge: np.ndarray
    owner: np.ndarray
    """[m] the number of each triangle's material."""
    materials: tuple[Material, ...]
    """Of each surface."""
    unrolled: np.ndarray
    """[surfaces] whether uv is to be unrolled from `place`, not read."""
    drawn: np.ndarray
    """The numbers of the vertices that are seen: of a triangle, and not beyond a hem."""


def without(piece: Piece, hidden: np.ndarray) -> Piece:
    """A piece without the triangles all of whose vertices are hidden [n]."""
    keep = ~hidden[piece.triangles].all(1)
    return replace(piece, triangles=np.ascontiguousarray(piece.triangles[keep]))


def base_piece(body: Body, name: str) -> Piece:
    """A surface of the base mesh on a body; its uv are the places of its texture."""
    surface = base_surface(name)
    uv = np.zeros((len(surface.ends), 2), np.float32)
    uv[surface.triangles.ravel()] = surface.corners.reshape(-1, 2)
    place = surface.fit(template().vertices)
    edge = np.full(len(place), FAR, np.float32)
    return Piece(surface.fit(body.vertices), surface.triangles, bones_of(surface.ends), place, uv, edge)


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
    return Figure(
        person, body, tuple(layers), tuple(free), bag if bag is not None and bag.hangs else None, bag_material
    )


def worn(body: Body, what: Worn, top: Top, part: Part) -> list[Layer]:
    """A garment of the upper body with its collar."""
    material = Material(top.fabric, part, what.fabric)
    shell = make_shell(body, top.cut, top.fit)
    collar = make_collar(body, top.collar, dressed(body, shell)) if top.collar else []
    return [Layer(material, piece) for piece in (shell, *collar)]


def pose_figure(figure: Figure, action: Action, seed: float) -> Soup:
    """The figure in a pose; `seed` (0 to 1) varies how free cloth folds."""
    matrices = bone_matrices(figure.body.heads, turns_of(figure.body.heads, figure.person.gait, action))
    parts = [
        (layer.material, posed(layer.piece.vertices, layer.piece.bones, matrices), layer.piece)
        for layer in figure.layers
    ]
    meshes = [(m, v, p.triangles, p.place, p.uv, p.edge) for m, v, p in parts]
    if figure.free:
        inside = [v[below_waist(p)] for m, v, p in parts if m.part in (Part.SKIN, Part.LOWER, Part.UPPER)]
        for cloth in reversed(figure.free):  # the bottom first, then what hangs over it
            points = np.concatenate(inside)
            centre, waist = waist_of(figure.body, matrices)
            scale = figure.body.vertices[:, 2].max() / 1.70
            hung = hang(cloth.drape, points, centre, waist, scale, seed)
            meshes.append((cloth.material, hung.vertices, hung.triangles, hung.place, hung.uv, hung.edge))
            inside.append(hung.vertices[hung.edge >= 0] * 1.0)
    if figure.bag is not None and figure.bag_material is not None:
        pieces = (*figure.bag.pieces, *figure.bag.straps)
        for vertices, piece in zip(hang_bag(figure.bag, figure.body, matrices), pieces, strict=True):
            meshes.append((figure.bag_material, vertices, piece.triangles, piece.place, piece.uv, piece.edge))
    sizes = np.cumsum([0] + [len(mesh[1]) for mesh in meshes])
    triangles = np.concatenate([mesh[2] + sizes[i] for i, mesh in enumerate(meshes)]).astype(np.int32)
    edge = np.concatenate([mesh[5] for mesh in meshes]).astype(np.float32)
    used = np.zeros(len(edge), bool)
    used[triangles.ravel()] = True
    return Soup(
        np.concatenate([mesh[1] for mesh in meshes]).astype(np.float32),
        triangles,
        np.concatenate([mesh[3] for mesh in meshes]).astype(np.float32),
        np.concatenate([np.zeros((len(m[1]), 2)) if m[4] is None else m[4] for m in meshes]).astype(np.float32),
        edge,
        np.concatenate([np.full(len(mesh[2]), i, np.int32) for i, mesh in enumerate(meshes)]),
        tuple(mesh[0] for mesh in meshes),
        np.array([mesh[4] is None for mesh in meshes]),
        np.flatnonzero(used & (edge >= 0)),
    )


def below_waist(piece: Piece) -> np.ndarray:
    """Which vertices [n] are inside of a skirt: of the trunk and the legs below the waist, and not beyond a hem."""
    z, x = piece.place[:, 2], np.abs(piece.place[:, 0])
    inside: np.ndarray = (z < 1.09) & (x < 0.30 - 0.08 * (z > 0.85)) & (piece.edge >= 0)
    return inside


def waist_of(body: Body, matrices: np.ndarray) -> tuple[np.ndarray, float]:
    """The middle [2] and the height of the posed waist."""
    skin = base_piece(body, "body")
    ring = (np.abs(skin.place[:, 2] - 1.02) < 0.015) & (np.abs(skin.place[:, 0]) < 0.25)
    index, weight = skin.bones
    points = posed(skin.vertices[ring], (index[ring], weight[ring]), matrices)
    return 0.5 * (points[:, :2].min(0) + points[:, :2].max(0)), float(points[:, 2].mean())
