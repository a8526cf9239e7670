"""Fabrics, in visible light and the near infrared."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from support.appearance import check_bounds
from vireid.people import palette
from vireid.people.construction import CLOSURES, HEMS, POCKETS, SURFACES, WAISTS, Construction
from vireid.people.fabric import REGION_OF, WORDS, Fabric, appearance
from vireid.people.kinds import KINDS, PERIODS, draw_fabric, draw_infrared
from vireid.people.motif import DESIGNS, emblems, flowers
from vireid.people.noise import noise
from vireid.people.pattern import PATTERNS, SOFT, shares
from vireid.people.spectrum import FIBRES, absorption, dyed, reflectance

Points = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
STEP = 0.001
WHITE, BLACK, RED = (0.8, 0.8, 0.8), (0.02, 0.02, 0.02), (0.4, 0.03, 0.04)


def garment(kind: str, *, back: bool = False) -> Points:
    """A dense grid over one side of a garment: uv, place, edge, arm."""
    legs = REGION_OF[kind] == "legs"
    low, high = (0.05, 1.03) if legs else (0.92, 1.44)
    x, z = np.meshgrid(np.arange(-0.3, 0.3, 0.004), np.arange(low, high, 0.004))
    x, z = x.ravel(), z.ravel()
    y = np.full_like(x, -0.12)
    if legs:
        centre = 0.106 + 0.1 * np.maximum(0.82 - z, 0)
        y = -0.03 - np.sqrt(np.maximum(0.01 - (np.abs(x) - centre) ** 2, 0))
    if back:
        y = -0.06 - y
    edge = np.minimum(z - low, high - z)
    uv = np.stack([x, z], 1)
    return uv, np.stack([x, y, z], 1), edge, np.abs(x) > 0.19


def draw_all(number: int = 60) -> list[tuple[str, Fabric]]:
    return [(kind, draw_fabric(np.random.default_rng([i, 3]), kind)) for kind in KINDS for i in range(number)]


@pytest.fixture(scope="module")
def drawn() -> list[tuple[str, Fabric]]:
    return draw_all()


def plain(**changes: Any) -> Fabric:
    base = draw_fabric(np.random.default_rng(0), "t-shirt")
    base = dataclasses.replace(
        base, fibre="cotton", pattern="plain", colours=(WHITE, BLACK, RED), infrared=(0.7, 0.6, 0.65), fuzz=0.0
    )
    return dataclasses.replace(base, made=Construction(hem="raw", seams=False), **changes)


def weights(pattern: str, points: Points, design: int = 0, share: float = 0.4) -> np.ndarray:
    low, high = PERIODS.get(pattern, (0.1, 0.1))
    region = "legs" if pattern == "side stripe" else "trunk"
    uv, place, _, arm = (np.ascontiguousarray(values) for values in points)
    return shares(
        pattern,
        uv.astype(np.float32),
        place.astype(np.float32),
        arm,
        region=region,
        period=(low * high) ** 0.5,
        share=share,
        phase=(0.3, 0.5),
        design=design,
    )


def test_noise_has_mean_0_and_stays_about_1() -> None:
    values = noise(np.random.default_rng(0).uniform(0, 256, (20_000, 2)), 3)
    assert values.dtype == np.float32
    assert abs(values.mean()) < 0.02
    assert 0.3 < values.std() < 0.6
    assert np.abs(values).max() < 3


def test_noise_repeats_after_its_period() -> None:
    uv = np.random.default_rng(0).uniform(0, 50, (500, 2)).astype(np.float32)
    np.testing.assert_allclose(noise(uv, 2), noise(uv + np.float32(256), 2), atol=2e-3)


def test_absorption_and_reflectance_are_inverses() -> None:
    values = np.linspace(0.01, 0.95, 20)
    np.testing.assert_allclose(reflectance(absorption(values)), values, atol=1e-9)


def test_a_dye_that_leaks_nothing_leaves_the_fibre_bright_and_carbon_black_makes_it_dark() -> None:
    assert dyed(0.7, 0.0003, BLACK) > 0.6
    assert dyed(0.7, 0.3, BLACK) < 0.2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("back", [False, True])
def test_every_kind_draws_within_bounds(kind: str, back: bool) -> None:
    for seed in range(6):
        fabric = draw_fabric(np.random.default_rng(seed), kind, long_sleeves=seed % 2 == 0)
        uv, place, edge, arm = garment(kind, back=back)
        check_bounds(appearance(fabric, uv, place, edge, kind=kind, arm=arm), len(uv))


def test_the_kinds_draw_known_things(drawn: list[tuple[str, Fabric]]) -> None:
    for _, fabric in drawn:
        assert fabric.fibre in FIBRES
        assert fabric.pattern in PATTERNS
        assert set(fabric.names) <= set(palette.SHADES)
        assert all(0 < value < 1 for value in fabric.infrared)
        assert fabric.made.closure in CLOSURES
        assert fabric.made.hem in HEMS
        assert fabric.made.pockets in POCKETS
        assert fabric.made.waist in WAISTS
        assert fabric.made.surface in SURFACES
    assert set(KINDS) == set(REGION_OF)
    assert set(WORDS) == set(PATTERNS) == {fabric.pattern for _, fabric in drawn}


def test_the_same_seed_draws_and_shows_the_same() -> None:
    one, other = (draw_fabric(np.random.default_rng(9), "shirt") for _ in range(2))
    assert one == other
    uv, place, edge, arm = garment("shirt")
    seen = [appearance(fabric, uv, place, edge, kind="shirt", arm=arm) for fabric in (one, other)]
    for name in ("colour", "infrared", "gloss", "relief"):
        assert getattr(seen[0], name).tobytes() == getattr(seen[1], name).tobytes()


@pytest.mark.parametrize("pattern", [name for name in PATTERNS if name != "plain"])
def test_every_pattern_has_two_colours(pattern: str) -> None:
    points = garment("trousers" if pattern == "side stripe" else "t-shirt")
    part = weights(pattern, points)
    assert part.min() >= 0
    assert part.sum(1).max() <= 1 + 1e-6
    assert part.sum(1).max() > 0.3
    assert part.sum(1).min() < 0.3


@pytest.mark.parametrize("pattern", ["rings", "verticals", "tartan", "gingham", "windowpane", "dots", "floral"])
def test_edges_are_soft_over_two_samples(pattern: str) -> None:
    """Along a line on the cloth, no step of a millimetre takes a pattern from one colour to the other."""
    along = np.arange(0, 0.6, STEP / 2)
    uv = np.stack([along * 0.8, along], 1)
    place = np.tile(np.array([0.05, -0.12, 1.2]), (len(along), 1))
    part = weights(pattern, (uv, place, along, np.zeros(len(along), bool)))
    assert np.abs(np.diff(part, axis=0)).max() < 1.5 * np.hypot(0.8, 1) * STEP / 2 / float(SOFT) + 0.05
    assert np.ptp(part[:, 0]) > 0.4


@pytest.mark.parametrize("design", range(len(DESIGNS)))
def test_every_emblem_is_printed_on_the_chest_alone(design: int) -> None:
    front, back = (
        weights("chest print", garment("t-shirt"), design),
        weights("chest print", garment("t-shirt", back=True), design),
    )
    shown = front.sum(1) > 0.5
    assert 0.01 < shown.mean() < 0.2
    assert back.max() == 0
    uv, place, _, arm = garment("t-shirt")
    assert not arm[shown].any()
    assert np.abs(uv[shown, 0]).max() < 0.16
    assert 1.1 < place[shown, 2].min() < place[shown, 2].max() < 1.4


def test_the_tables_hold_what_is_inside_and_outside() -> None:
    assert emblems().dtype == flowers().dtype == np.float32
    assert emblems().shape[0] == len(DESIGNS)
    for table in (*emblems(), *flowers().reshape(-1, *flowers().shape[2:])):
        assert 0.02 < (table > 0).mean() < 0.8


def test_sleeves_of_a_raglan_have_the_other_colour() -> None:
    points = garment("t-shirt")
    part = weights("raglan", points)
    assert (part[points[3], 0] == 1).all()
    assert part[(np.abs(points[1][:, 0]) < 0.02) & (points[1][:, 2] < 1.38), 0].max() == 0


def contrast(fabric: Fabric) -> tuple[float, float]:
    """Michelson contrast of the first two colours, in visible light and the near infrared."""
    one, other = (float(np.mean(colour)) for colour in fabric.colours[:2])
    near, far = fabric.infrared[:2]
    return abs(one - other) / (one + other), abs(near - far) / (near + far)


def test_dyed_patterns_vanish_in_the_near_infrared_and_pigment_prints_stay() -> None:
    rng = np.random.default_rng(1)
    names, colours = ("white", "black", "red"), (WHITE, BLACK, RED)
    found = {
        pattern: np.median(
            [
                abs(a - b) / (a + b)
                for a, b, _ in (draw_infrared(rng, "cotton", pattern, names, colours) for _ in range(400))
            ]
        )
        for pattern in ("rings", "chest print")
    }
    visible = (0.8 - 0.02) / 0.82
    assert found["rings"] < 0.2 * visible
    assert found["chest print"] > 2 * found["rings"]


def test_woven_and_printed_colours_lose_most_of_their_contrast(drawn: list[tuple[str, Fabric]]) -> None:
    woven = ("rings", "verticals", "tartan", "gingham", "windowpane", "dots", "floral", "melange")
    pairs = np.array([contrast(fabric) for _, fabric in drawn if fabric.pattern in woven])
    assert np.median(pairs[:, 1]) < 0.15 * np.median(pairs[:, 0])


def test_the_near_infrared_does_not_tell_the_hue(drawn: list[tuple[str, Fabric]]) -> None:
    vivid = [fabric for _, fabric in drawn if np.ptp(fabric.colours[0]) > 0.08 and fabric.fibre != "leather"]
    colours = np.array([fabric.colours[0] for fabric in vivid])
    infrared = np.array([fabric.infrared[0] for fabric in vivid])
    shade = colours / colours.sum(1, keepdims=True)
    assert len(vivid) > 200
    for channel in range(3):
        assert abs(np.corrcoef(shade[:, channel], infrared)[0, 1]) < 0.2


def test_black_clothes_may_be_bright_or_dark_in_the_near_infrared(drawn: list[tuple[str, Fabric]]) -> None:
    black = np.array([fabric.infrared[0] for _, fabric in drawn if fabric.names[0] == "black"])
    assert (black < 0.2).mean() > 0.1
    assert (black > 0.4).mean() > 0.3


def test_black_leather_is_dark_in_the_near_infrared() -> None:
    rng = np.random.default_rng(0)
    dark = [draw_infrared(rng, "leather", "plain", ("black",) * 3, (BLACK,) * 3)[0] for _ in range(100)]
    assert 0.04 < min(dark) < max(dark) < 0.3


def test_trousers_are_mostly_plain_and_dark_or_denim(drawn: list[tuple[str, Fabric]]) -> None:
    lower = [fabric for kind, fabric in drawn if kind in ("trousers", "jeans", "suit-trousers")]
    assert np.mean([fabric.pattern == "plain" for fabric in lower]) > 0.7
    dark = {"black", "charcoal", "navy", "grey", "brown", "olive", "dark indigo", "indigo", "stone-washed"}
    assert np.mean([fabric.names[0] in dark for fabric in lower]) > 0.65


def test_no_cloth_is_as_pure_as_a_primary(drawn: list[tuple[str, Fabric]]) -> None:
    for _, fabric in drawn:
        for colour in fabric.colours:
            assert 0.003 < min(colour) <= max(colour) < 0.87


def test_the_words_name_what_is_drawn(drawn: list[tuple[str, Fabric]]) -> None:
    for _, fabric in drawn:
        words = fabric.words()
        assert fabric.names[0] in words
        assert fabric.fibre in words
        if fabric.pattern not in ("plain", "melange"):
            assert fabric.names[1] in words
        assert "{" not in words
    stripes = plain(pattern="rings", names=("navy", "white", "red"))
    assert stripes.words() == "navy and white striped cotton"


def test_the_two_colours_of_a_striped_fabric_are_shown() -> None:
    uv, place, edge, arm = garment("t-shirt")
    seen = appearance(plain(pattern="rings", share=0.5, period=0.06), uv, place, edge, kind="t-shirt", arm=arm)
    grey = seen.colour.mean(1)
    assert (grey > 0.7).mean() > 0.2
    assert (grey < 0.05).mean() > 0.2
    assert np.ptp(seen.infrared) < 0.3


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("shirt", {"closure": "buttons"}),
        ("jacket", {"closure": "zip"}),
        ("blazer", {"closure": "lapels", "pockets": "welt"}),
        ("coat", {"closure": "double-breasted"}),
        ("polo", {"closure": "polo"}),
        ("sweater", {"hem": "ribbed"}),
        ("sweater", {"surface": "cable"}),
        ("hoodie", {"pockets": "kangaroo"}),
        ("hoodie", {"drawn_hood": True}),
        ("down", {"surface": "rows"}),
        ("dress", {"waist": "sash"}),
        ("trousers", {"waist": "belt"}),
        ("trousers", {"waist": "drawstring"}),
        ("trousers", {"pockets": "cargo"}),
        ("trousers", {"pockets": "slanted"}),
        ("suit-trousers", {"crease": True}),
        ("jeans", {"pockets": "jeans"}),
        ("jeans", {"wear": 1.0}),
        ("jacket", {"reflective": True}),
        ("t-shirt", {"seams": True}),
    ],
)
def test_every_detail_shows(kind: str, changes: dict[str, Any]) -> None:
    bare = plain(colours=((0.3, 0.3, 0.3),) * 3)
    detailed = dataclasses.replace(bare, made=dataclasses.replace(bare.made, **changes))
    uv, place, edge, arm = garment(kind)
    one, other = (appearance(fabric, uv, place, edge, kind=kind, arm=arm) for fabric in (bare, detailed))
    differs = np.abs(one.colour - other.colour).max(1) > 0.02
    assert 0.0005 < differs.mean() < 0.95


def test_a_retroreflector_returns_all_of_the_lamps_light() -> None:
    uv, place, edge, arm = garment("vest")
    fabric = plain()
    fabric = dataclasses.replace(fabric, made=dataclasses.replace(fabric.made, reflective=True))
    seen = appearance(fabric, uv, place, edge, kind="vest", arm=arm)
    assert (seen.infrared > 0.98).mean() > 0.03
