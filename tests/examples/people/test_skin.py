"""Skin and hair, in visible light and the near infrared."""

from __future__ import annotations

import numpy as np
import pytest

from support.appearance import check_bounds
from vireid.people.hair_colour import DYES, FREQUENCIES, draw_hair, hair, hair_tone
from vireid.people.skin import EYES, Complexion, draw_complexion, masks, skin, skin_colour

Points = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
STEP = 0.001


def test_skin_is_bright_in_the_near_infrared_whatever_its_colour() -> None:
    grey, infrared = zip(
        *((np.mean(c), i) for c, i in (skin_colour(m, 0.0) for m in np.linspace(0, 1, 9))), strict=True
    )
    assert list(grey) == sorted(grey, reverse=True)
    assert grey[0] > 3.5 * grey[-1]
    assert 0.4 < min(infrared) < max(infrared) < 0.66


def face() -> tuple[np.ndarray, np.ndarray]:
    """Points over the front of the template's head; texture coordinates outside every mask."""
    x, z = np.meshgrid(np.arange(-0.07, 0.07, 0.001), np.arange(1.46, 1.66, 0.001))
    place = np.stack([x.ravel(), np.full(x.size, -0.13), z.ravel()], 1)
    return place, np.full((x.size, 2), 0.002)


def test_faces_draw_within_bounds_and_the_same_twice() -> None:
    place, body_uv = face()
    for seed in range(8):
        pair = [draw_complexion(np.random.default_rng(seed), male=seed % 2 == 0) for _ in range(2)]
        assert pair[0] == pair[1]
        one, other = (skin(complexion, place, body_uv) for complexion in pair)
        check_bounds(one, len(place))
        assert one.colour.tobytes() == other.colour.tobytes()


def test_brows_eyes_and_beard_are_darker_than_the_skin() -> None:
    place, body_uv = face()
    bare = skin(Complexion(0.3, 0.0, hair_tone("black"), brows=0.0), place, body_uv)
    grown = skin(Complexion(0.3, 0.0, hair_tone("black"), brows=1.0, beard=1.0), place, body_uv)
    darker = bare.infrared - grown.infrared > 0.15
    up = place[:, 2] - EYES[2]
    assert darker[(np.abs(up - 0.022) < 0.002) & (np.abs(np.abs(place[:, 0]) - 0.033) < 0.008)].mean() > 0.8
    assert darker[(np.abs(up + 0.085) < 0.01) & (np.abs(place[:, 0]) < 0.03)].mean() > 0.8
    assert not darker[(np.abs(up + 0.03) < 0.01) & (np.abs(place[:, 0]) < 0.04)].any()


def test_lips_are_red_and_vanish_in_the_near_infrared() -> None:
    side = masks().shape[0]
    rows, columns = np.nonzero(masks()[:, :, 0] > 250)
    body_uv = np.stack([(columns + 0.5) / side, 1 - (rows + 0.5) / side], 1)
    place = np.tile(np.array([0.0, -0.15, 1.2]), (len(body_uv), 1))
    complexion = Complexion(0.2, 0.0, hair_tone("brown"))
    lips, cheek = skin(complexion, place, body_uv), skin(complexion, place, np.full_like(body_uv, 0.002))
    assert len(rows) > 100
    assert lips.colour[:, 1].mean() < 0.75 * cheek.colour[:, 1].mean()
    np.testing.assert_allclose(lips.infrared.mean(), cheek.infrared.mean(), rtol=0.02)


def test_hair_is_brighter_in_the_near_infrared_and_dyes_do_not_show_there() -> None:
    for name in ("black", "dark brown", "brown", "light brown", "blond"):
        tone = hair_tone(name)
        assert tone.infrared > 1.3 * np.mean(tone.colour)
    order = [hair_tone(name).infrared for name in ("black", "dark brown", "brown", "light brown", "blond", "white")]
    assert order == sorted(order)
    assert 0.08 < order[0] < 0.3
    assert len({hair_tone(name).infrared for name in DYES}) == 1


@pytest.mark.parametrize("name", FREQUENCIES)
def test_hair_draws_within_bounds(name: str) -> None:
    across, along = (values.ravel() for values in np.meshgrid(np.arange(0, 0.2, 0.001), np.arange(0, 0.3, 0.005)))
    seen = hair(hair_tone(name), along, across)
    check_bounds(seen, len(along))
    image = seen.infrared.reshape(60, 200)
    # Strands run along: neighbours across differ more than neighbours along, at equal distances.
    assert np.abs(np.diff(image[:, ::5], axis=1)).mean() > 1.5 * np.abs(np.diff(image, axis=0)).mean()


def test_hair_is_drawn_from_its_colours() -> None:
    names = {draw_hair(np.random.default_rng(seed)).name for seed in range(400)}
    assert {"black", "brown", "blond", "grey"} <= names <= set(FREQUENCIES)
