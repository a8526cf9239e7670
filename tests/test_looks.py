"""A mask without padding is none where a look at it is free; elsewhere it is taken as it is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from concordant import functional
from concordant._look import may_look
from concordant._mask import drop_full
from support.operators import Operators

FULL = torch.ones(2, 3, dtype=torch.bool)


def test_a_full_mask_is_dropped_and_no_other() -> None:
    assert drop_full(FULL) is None
    assert drop_full(None) is None
    for other in (FULL.clone().fill_diagonal_(False), torch.ones(2, 0, dtype=torch.bool), FULL.to("meta")):
        assert drop_full(other) is other


def seen_by_a_compiler() -> bool:
    return bool(torch.compile(lambda mask: mask + may_look(mask), fullgraph=True, backend="eager")(FULL * 1)[0, 0] == 2)


def seen_by_a_transform() -> bool:
    return bool(torch.vmap(lambda mask: mask.int() + may_look(mask))(FULL)[0, 0] == 2)


def seen_by_a_mode() -> bool:
    with Operators():
        return may_look(FULL)


def seen_as_a_fake() -> bool:
    return may_look(FakeTensorMode().from_tensor(FULL))


def seen_by_a_trace() -> bool:
    seen: list[bool] = []

    def look(mask: Tensor) -> Tensor:
        seen.append(may_look(mask))
        return mask + 1

    torch.jit.trace(look, FULL, check_trace=False)
    return any(seen)


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning", "ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize(
    "seen", [seen_by_a_compiler, seen_by_a_transform, seen_by_a_mode, seen_as_a_fake, seen_by_a_trace]
)
def test_nothing_is_looked_at_where_others_would_follow(seen: Callable[[], bool]) -> None:
    assert may_look(FULL)
    assert not seen()


def test_a_full_mask_costs_no_pass_over_the_features() -> None:
    """The losses and layers compute what they do without a mask: to the last bit, which sums with a mask are not."""
    torch.manual_seed(0)
    features, parts = torch.randn(4, 6, 5), torch.randn(4, 3, 5)
    labels, modality, tokens, real = torch.arange(4) // 2, torch.arange(4) % 2, torch.randn(4, 6, 5), torch.ones(4, 6)
    mask, part_mask = real.bool(), real[:, :3].bool()
    maps, logits = torch.rand(4, 3, 6), torch.randn(4, 3, 7)
    for masked, plain in (
        (functional.instance_norm(features, mask=mask), functional.instance_norm(features)),
        (functional.instance_norm(parts, tokens, mask=mask), functional.instance_norm(parts, tokens)),
        (
            functional.part_center_loss(parts, parts.flip(1), labels, modality, part_mask=part_mask),
            functional.part_center_loss(parts, parts.flip(1), labels, modality),
        ),
        (
            functional.match_distill(maps, maps.flip(1), logits, logits, mask=mask, own_mask=part_mask)[1],
            functional.match_distill(maps, maps.flip(1), logits, logits)[1],
        ),
        (functional.select_top_k(maps, mask=mask), functional.select_top_k(maps)),
        (functional.aggregate_tokens(tokens, maps, mask), functional.aggregate_tokens(tokens, maps)),
    ):
        assert torch.equal(masked, plain)
