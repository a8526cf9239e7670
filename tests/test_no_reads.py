"""A training step reads no value off its device, where each read would wait for all that is queued there.

On the meta device there are no values: any read of one is an error.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from concordant import CALLoss, TargetAwareContrastiveLoss, Views, split_modality
from concordant.retrieval.encoded import Encoded
from support.models import paired_batch, small_cal


@pytest.mark.parametrize("views", [False, True])
@pytest.mark.parametrize("shared_miner", [False, True])
def test_a_step_reads_nothing(views: bool, shared_miner: bool) -> None:
    model, (images, labels, modality) = small_cal(device="meta", shared_miner=shared_miner), paired_batch()
    seen = Views(torch.tensor([0, 4]), torch.rand(2, 2, 2)) if views else None
    split = split_modality(modality if seen is None else torch.cat([modality, modality[seen.rows]])).to("meta")
    images, labels, modality = (x.to("meta") for x in (images, labels, modality))
    output = model(images, labels, split, views=None if seen is None else Views(*(x.to("meta") for x in seen)))
    terms = CALLoss()(output, labels, modality)
    rows = Encoded(output.tokens, output.own.keys, output.own.part_queries)
    contrast = TargetAwareContrastiveLoss(learnable=False)(rows[:3], rows[3:], labels[:3], labels[3:])
    (terms.total + contrast).backward()
    model.observe(output, terms, modality)
    assert all(isinstance(p.grad, Tensor) for p in model.parameters())


@pytest.mark.parametrize("views", [False, True])
def test_a_split_changes_no_number(views: bool) -> None:
    model, (images, labels, modality) = small_cal(), paired_batch()
    seen = Views(torch.tensor([5, 1]), torch.rand(2, 2, 2)) if views else None
    split = split_modality(modality if seen is None else torch.cat([modality, modality[seen.rows]]))
    one, other = (
        model(images, labels, kinds, views=seen, generator=torch.Generator().manual_seed(0))
        for kinds in (modality, split)
    )
    leaves = torch.utils._pytree.tree_leaves
    assert all(torch.equal(x, y) for x, y in zip(leaves(one), leaves(other), strict=True))


@pytest.mark.long
@pytest.mark.slow
def test_a_compiled_graph_takes_a_split() -> None:
    """Each miner sees its own rows there, too: batch norms in a first stage are right."""
    model, (images, labels, modality) = small_cal(), paired_batch()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    found, expected = compiled(images, labels, split_modality(modality)), model(images, labels, modality)
    torch.testing.assert_close(found.mined, expected.mined)
