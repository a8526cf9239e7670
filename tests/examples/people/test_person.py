"""Identities and their families."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields

import numpy as np
import pytest

from vireid.people.bag import BAGS
from vireid.people.config import RenderConfig
from vireid.people.hair_styles import HAIR
from vireid.people.hat import HATS
from vireid.people.odds import pick
from vireid.people.person import (
    BAG_ODDS,
    BOTTOM_ODDS,
    FAMILY,
    HAIR_ODDS,
    HAT_ODDS,
    OVER_ODDS,
    OWN,
    SHOE_ODDS,
    TOP_ODDS,
    Person,
    draw_family,
)
from vireid.people.shoes import SHOES
from vireid.people.wardrobe import BOTTOMS, DRESSES, OVERS, TOPS

FAMILIES = [draw_family([11, number]) for number in range(150)]


def differences(one: Person, other: Person) -> set[str]:
    """The attributes in which two people differ; brows and beard have the colour of the hair."""
    names = {field.name for field in fields(Person) if getattr(one, field.name) != getattr(other, field.name)}
    if "hair" in names and one.skin.melanin == other.skin.melanin and one.skin.beard == other.skin.beard:
        names.discard("skin")
    return names


def test_members_of_a_family_differ_in_two_attributes() -> None:
    for family in FAMILIES:
        assert len(family) == FAMILY
        for member in family[1:]:
            assert len(differences(family[0], member)) == OWN, differences(family[0], member)
        assert differences(family[1], family[2])


def test_families_are_the_same_again_and_depend_on_the_seed() -> None:
    assert draw_family([11, 4]) == FAMILIES[4]
    assert draw_family([12, 4])[0] != FAMILIES[4][0]


def test_every_garment_is_worn_by_somebody() -> None:
    people = [family[0] for family in FAMILIES] + [family[1] for family in FAMILIES]
    tops = Counter(person.top.kind for person in people)
    assert len(set(tops) & set(TOPS)) >= len(TOPS) - 1
    assert len(set(tops) & set(DRESSES)) >= len(DRESSES) - 1
    assert {person.over.kind for person in people if person.over} >= set(list(OVERS)[:6])
    assert len({person.bottom.kind for person in people if person.bottom}) >= len(BOTTOMS) - 1
    assert all((person.bottom is None) == (person.top.kind in DRESSES) for person in people)


def test_people_vary_as_much_as_they_should() -> None:
    people = [family[0] for family in FAMILIES]
    assert 0.35 < np.mean([person.female for person in people]) < 0.65
    assert 0.05 < np.mean([person.hat is not None for person in people]) < 0.35
    assert 0.4 < np.mean([person.bag is not None for person in people]) < 0.75
    assert not any(person.skin.beard > 0 for person in people if person.female)


def test_words_say_what_is_worn() -> None:
    for family in FAMILIES[:40]:
        for person in family:
            words = person.words()
            assert all(words.values())
            assert person.top.kind in words["top"]
            assert (words["bag"] == "none") == (person.bag is None)
            assert words["sex"] == ("female" if person.female else "male")


def test_families_lie_within_a_split() -> None:
    config = RenderConfig(train_identities=6, val_identities=3, test_identities=9)
    people = [config.person(identity) for identity in range(1, config.identities + 1)]
    families = [people[start : start + FAMILY] for start in range(0, len(people), FAMILY)]
    assert all(len(differences(family[0], member)) == OWN for family in families for member in family[1:])
    assert len({family[0].shape for family in families}) == len(families)
    with pytest.raises(ValueError, match=r"`identity` must be in 1..18; got 19"):
        config.person(19)


def test_pick_follows_the_odds() -> None:
    rng = np.random.default_rng(0)
    drawn = Counter(pick(rng, {"a": 3, "b": 1, "c": 0}) for _ in range(2000))
    assert drawn["c"] == 0
    assert drawn["a"] / drawn["b"] == pytest.approx(3, rel=0.2)


def test_the_odds_name_what_there_is() -> None:
    for odds, kinds in ((HAT_ODDS, HATS), (SHOE_ODDS, SHOES), (BAG_ODDS, BAGS), (HAIR_ODDS, HAIR)):
        tables = odds.values() if isinstance(next(iter(odds.values())), dict) else [odds]
        assert {kind for table in tables for kind in table} == set(kinds)  # type: ignore[union-attr]
    assert {kind for table in TOP_ODDS.values() for kind in table} == set(TOPS)
    assert {kind for table in OVER_ODDS.values() for kind in table} == set(OVERS)
    assert {kind for table in BOTTOM_ODDS.values() for kind in table} == set(BOTTOMS)
