"""Poses: people stand on the ground, their knees bend forward, and their feet follow anny's walk."""

from __future__ import annotations

import numpy as np
import pytest

from vireid.people.body import Shape, bone_matrices, build
from vireid.people.pose import Action, Gait, draw_action, step_of, turns_of
from vireid.people.source import load_source

BODIES = [build(Shape(gender=gender, height=height)) for gender, height in ((0.1, 0.2), (0.9, 0.6))]
WALKS = [Action(True, phase, ("swing", "swing"), (0.0, 0.1), 0.0) for phase in np.linspace(0, 1, 9)[:-1]]
MODES = ("swing", "hang", "phone", "call", "hold", "pocket", "strap")


def joints(heads: dict[str, np.ndarray], action: Action, gait: Gait | None = None) -> dict[str, np.ndarray]:
    matrices = bone_matrices(heads, turns_of(heads, gait or Gait(), action))
    return {bone: m[:, :3] @ heads[bone] + m[:, 3] for bone, m in zip(load_source().bones, matrices, strict=True)}


@pytest.mark.parametrize("body", BODIES)
def test_legs_keep_their_lengths_and_knees_bend_forward(body: object) -> None:
    heads = body.heads  # type: ignore[attr-defined]
    for action in (*WALKS, Action(False, 0.3, ("pocket", "call"), (0.3, 0.0), 0.05)):
        moved = joints(heads, action)
        for side in "LR":
            hip, knee, ankle = (moved[f"{bone}.{side}"] for bone in ("upperleg01", "lowerleg01", "foot"))
            rest = [heads[f"{bone}.{side}"] for bone in ("upperleg01", "lowerleg01", "foot")]
            assert np.linalg.norm(knee - hip) == pytest.approx(np.linalg.norm(rest[1] - rest[0]), rel=1e-4)
            assert np.linalg.norm(ankle - knee) == pytest.approx(np.linalg.norm(rest[2] - rest[1]), rel=1e-4)
            line = (ankle - hip) / np.linalg.norm(ankle - hip)
            away = (knee - hip) - ((knee - hip) @ line) * line
            assert away[1] < 1e-4  # -y is the front


@pytest.mark.parametrize("body", BODIES)
def test_the_standing_leg_is_almost_straight(body: object) -> None:
    heads = body.heads  # type: ignore[attr-defined]
    for action in WALKS:
        moved = joints(heads, action)
        reach = []
        for side in "LR":
            hip, knee, ankle = (moved[f"{bone}.{side}"] for bone in ("upperleg01", "lowerleg01", "foot"))
            whole = np.linalg.norm(knee - hip) + np.linalg.norm(ankle - knee)
            reach.append(np.linalg.norm(ankle - hip) / whole)
        assert 0.985 < max(reach) <= 1.0


def test_feet_pass_each_other_once_a_step() -> None:
    ahead = np.array([step_of("L", phase)[0] - step_of("R", phase)[0] for phase in np.linspace(0, 1, 41)])
    assert (np.diff(np.sign(ahead)) != 0).sum() == 2
    assert 0.3 < np.ptp(ahead) < 1.2  # metres


def test_arms_swing_against_the_legs() -> None:
    heads = BODIES[0].heads
    hand, foot = [], []
    for action in WALKS:
        moved = joints(heads, action, Gait(swing=0.5))
        hand.append(moved["wrist.L"][1] - moved["wrist.R"][1])
        foot.append(moved["foot.L"][1] - moved["foot.R"][1])
    assert np.corrcoef(hand, foot)[0, 1] < -0.7


@pytest.mark.parametrize("mode", MODES)
def test_every_turn_is_a_rotation(mode: str) -> None:
    action = Action(True, 0.4, (mode, mode), (0.4, 0.2), 0.0)
    for turn in turns_of(BODIES[1].heads, Gait(), action).values():
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-6)
        assert np.linalg.det(turn) == pytest.approx(1)


def test_hands_are_where_the_action_says() -> None:
    heads = BODIES[1].heads

    def wrist(mode: str) -> np.ndarray:
        return joints(heads, Action(False, 0.2, ("swing", mode), (0.0, 0.0), 0.0))["wrist.R"]

    head = joints(heads, WALKS[0])["head"]
    assert (
        np.linalg.norm(wrist("call") - head)
        < np.linalg.norm(wrist("phone") - head)
        < np.linalg.norm(wrist("hang") - head)
    )
    assert wrist("phone")[1] < wrist("swing")[1]  # before the body


def test_actions_depend_on_what_is_carried() -> None:
    rng = np.random.default_rng(0)
    tote = [draw_action(rng, "tote") for _ in range(200)]
    assert all(action.arms[0] == "hang" for action in tote)
    free = [draw_action(rng, "") for _ in range(400)]
    assert 0.6 < np.mean([action.walks for action in free]) < 0.9
    assert {mode for action in free for mode in action.arms} >= {"swing", "phone", "call", "hold", "pocket"}
