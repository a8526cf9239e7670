"""The kernels of target-aware similarity: on a GPU, or on the CPU by Triton's interpreter.

The interpreter knows no bfloat16; float16 stands for it there.
"""

from __future__ import annotations

import importlib
from collections import defaultdict
from typing import Any, Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from concordant import TSAA, Encoded, PartQueries, target_aware_similarity
from concordant.functional import spatial_similarity
from concordant.retrieval import pairs
from support import oracles_retrieval
from support.encoded import encoded
from support.living import Living
from support.models import close, randomize, tsaa_of
from support.padding import masks
from support.strategies import SEEDS, values

pytest.importorskip("triton", reason="Triton is not installed: no kernels")
fused = importlib.import_module("concordant.retrieval.fused")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
Direction = Literal["query", "gallery", "both"]
CHOICE = pairs._kernels
DIRECTIONS = st.sampled_from(["query", "gallery", "both"])
# The interpreter is NumPy: a softmax over nothing, of which nothing is kept, warns.
pytestmark = pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")


@pytest.fixture(autouse=True)
def _by_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "_kernels", lambda tokens, keys: fused)


@settings(max_examples=6)
@given(
    st.integers(1, 3),
    st.integers(1, 2),
    st.integers(2, 5),
    st.integers(1, 3),
    SEEDS,
    st.sampled_from(["normal", "ties"]),
    DIRECTIONS,
    st.sampled_from([1, 9000, 1 << 28]),
    st.booleans(),
)
def test_agrees_with_pair_by_pair(
    q: int, g: int, t: int, p: int, seed: int, kind: str, direction: Direction, memory: int, normed: bool
) -> None:
    """In chunks of any size, with and without a norm, to the precision of float32."""
    attention, norm = tsaa_of(3, seed, eps=1e-3), nn.BatchNorm1d(p * 3, dtype=torch.float64)
    norm(values((5, p * 3), seed + 4))  # running statistics
    norm = randomize(norm, seed).eval()
    query = values((q, t, 3), seed, kind), values((q, p, 3), seed + 1, kind)
    gallery = values((g, t + 1, 3), seed + 2, kind), values((g, p, 3), seed + 3, kind)

    def one_pair(tokens: Tensor, parts: Tensor, home: Tensor) -> Tensor:
        features = attention(tokens, parts, home).features
        return norm(features.flatten(1)).view_as(features) if normed else features

    with torch.no_grad():
        found = target_aware_similarity(
            encoded(attention, *query).to(DEVICE, torch.float32),
            encoded(attention, *gallery).to(DEVICE, torch.float32),
            attention,
            direction=direction,
            memory=memory,
            norm=norm.to(DEVICE) if normed else None,
        )
        norm.cpu()
        expected = oracles_retrieval.target_aware_similarity(*query, *gallery, one_pair, direction)
    close(found.cpu().double(), expected, rtol=0, atol=2e-5)


@settings(max_examples=6)
@given(masks(2, 4), masks(2, 3), masks(3, 5), masks(3, 2), SEEDS, DIRECTIONS, st.sampled_from([1, 1 << 28]))
def test_padding_is_not_read(
    mask: Tensor,
    part_mask: Tensor,
    gallery_mask: Tensor,
    gallery_part_mask: Tensor,
    seed: int,
    direction: Direction,
    memory: int,
) -> None:
    sides = []
    for real, some in ((mask, part_mask), (gallery_mask, gallery_part_mask)):
        (n, t), p = real.shape, some.shape[1]
        parts = PartQueries(values((n, p, 2), seed + 2), values((n, p, 3), seed + 3))
        tokens, keys = values((n, t, 3), seed).where(real[..., None], torch.nan), values((n, t, 2), seed + 1)
        sides.append(Encoded(tokens, keys, parts, real, some))
    with torch.no_grad():
        query, gallery = (side.to(DEVICE, torch.float32) for side in sides)
        found = target_aware_similarity(query, gallery, TSAA(3), direction=direction, memory=memory)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pairs, "_kernels", lambda tokens, keys: None)
            expected = target_aware_similarity(sides[0], sides[1], TSAA(3), direction=direction)
    close(found.cpu().double(), expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    ("t", "shared", "dtype"),
    [(3, 1 << 15, torch.float32), (35, 1 << 15, torch.float16), (35, 0, torch.float32)],
    ids=["one", "at once", "in turn"],
)
def test_sizes_that_fill_no_block(t: int, shared: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts, tokens, channels and images are more than a program takes, and no multiple; tokens channel by channel."""
    monkeypatch.setattr(fused, "_blocks", lambda t, size: fused._Blocks(16, 16, 16, 2, 4))
    monkeypatch.setattr(fused, "_shared", lambda device: shared)
    r, m, c, d = 17, 3, 19, 33
    queries, gates, shift, keys = (
        values(shape, i).to(DEVICE, dtype) for i, shape in enumerate(((r, d), (r, c), (r, c), (m, t, d)))
    )
    target = nn.functional.normalize(values((r, c), 4), dim=1).to(DEVICE, dtype)
    tokens = values((m, c, t), 5).transpose(1, 2).to(DEVICE, dtype)
    for summand in (None, shift):
        inputs = (queries, gates, summand, target, tokens, keys)
        found = fused.cosines(*inputs, None)
        wide: list[Any] = [None if x is None else x.double() for x in inputs]
        expected = pairs._cosines(*wide, None)  # type: ignore[call-arg]
        close(found.double(), expected, rtol=0, atol=2e-6 if dtype == torch.float32 else 2e-3)


@pytest.mark.parametrize("masked", [False, True])
def test_logits_of_minus_infinity(masked: bool) -> None:
    """A token that the gate shuts out has no attention. With all shut out there is none to give: NaN, as in softmax."""
    queries, keys = torch.ones(1, 1), torch.tensor([[[0.5], [-torch.inf], [2.0]], [[-torch.inf]] * 3])
    mask = torch.tensor([[True, True, False], [False, True, True]]) if masked else None
    expected = spatial_similarity(queries.expand(2, 1, 1), keys, mask)
    on = [None if x is None else x.to(DEVICE) for x in (queries, torch.zeros(2, 3, 4), keys, mask)]
    found = fused._weights(*on).cpu()
    torch.testing.assert_close(found[:, :, :3], expected, equal_nan=True)
    assert not found[:, :, 3:].any()


@pytest.mark.parametrize("normed", [False, True], ids=["plain", "norm"])
def test_at_most_the_memory_allowed(normed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Living at once, in whatever chunks; more memory means fewer of them."""

    for kernel in ("_weigh", "_read"):  # what they compute does not matter here
        monkeypatch.setattr(fused, kernel, defaultdict(lambda: lambda *args, **kwargs: None))
    attention, norm = TSAA(40), nn.BatchNorm1d(2 * 40).to(DEVICE).eval() if normed else None
    parts = PartQueries(torch.randn(24, 2, 5, device=DEVICE), torch.randn(24, 2, 40, device=DEVICE))
    images = Encoded(torch.randn(24, 20, 40, device=DEVICE), torch.randn(24, 20, 5, device=DEVICE), parts)
    peaks = []
    for memory in (1 << 15, 1 << 16, 1 << 20):
        known = {x.untyped_storage()._cdata for x in images.tensors()}
        with torch.no_grad(), Living(known) as living:
            table = target_aware_similarity(images, images, attention, norm=norm, memory=memory)
        assert living.peak <= memory + 4 * table.nbytes, (living.peak, memory)
        peaks.append(living.peak)
    assert peaks[0] < peaks[-1] / 4


def test_only_where_they_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradients are plain torch's, and so is what no GPU holds."""
    monkeypatch.setattr(fused, "cosines", None)
    parts = PartQueries(torch.randn(2, 1, 2), torch.randn(2, 1, 3))
    images = Encoded(torch.randn(2, 4, 3, requires_grad=True), torch.randn(2, 4, 2), parts)
    target_aware_similarity(images, images, TSAA(3)).sum().backward()
    assert CHOICE(images.tokens.cpu(), images.keys.cpu()) is None
    assert not fused.serves(images.tokens.cpu(), images.keys.cpu())


def _failing(error: Exception) -> Any:
    def launch(*args: Any, **kwargs: Any) -> None:
        raise error

    return defaultdict(lambda: launch)


@pytest.mark.parametrize("kernel", ["_weigh", "_read"])
def test_kernels_that_do_not_run_are_replaced_and_said_once(kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second of them fails after the first has run."""
    monkeypatch.setattr(pairs, "_WITHOUT_KERNELS", set())
    error = RuntimeError("Failed to find C compiler.\n  Please specify one.")
    parts = PartQueries(torch.randn(3, 2, 5, device=DEVICE), torch.randn(3, 2, 4, device=DEVICE))
    images = Encoded(torch.randn(3, 6, 4, device=DEVICE), torch.randn(3, 6, 5, device=DEVICE), parts)
    with torch.no_grad():
        expected = target_aware_similarity(images, images, TSAA(4))
        monkeypatch.setattr(fused, kernel, _failing(error))
        with pytest.warns(UserWarning, match="plain torch takes the place") as warned:
            found = [target_aware_similarity(images, images, TSAA(4), memory=memory) for memory in (1, 1 << 28)]
    (line,) = (str(one.message) for one in warned if one.category is UserWarning)  # the interpreter has its own
    assert line == (
        f"target_aware_similarity: plain torch takes the place of the kernels on {images.tokens.device}, and more "
        "memory and time; RuntimeError: Failed to find C compiler. Please specify one."
    )
    for table in found:
        close(table, expected, rtol=0, atol=2e-6)


def test_memory_that_runs_out_is_no_failure_of_the_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "_WITHOUT_KERNELS", set())
    monkeypatch.setattr(fused, "_weigh", _failing(torch.OutOfMemoryError("CUDA out of memory")))
    parts = PartQueries(torch.randn(2, 1, 2, device=DEVICE), torch.randn(2, 1, 3, device=DEVICE))
    images = Encoded(torch.randn(2, 4, 3, device=DEVICE), torch.randn(2, 4, 2, device=DEVICE), parts)
    with torch.no_grad(), pytest.raises(torch.OutOfMemoryError):
        target_aware_similarity(images, images, TSAA(3))
    assert not pairs._WITHOUT_KERNELS


@pytest.mark.gpu
@pytest.mark.skipif(DEVICE == "cpu", reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("t", "c"), [(162, 2048), (72, 512), (600, 130)])
def test_on_the_gpu(t: int, c: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the sizes of a model, against float64 in plain torch; float32 in tf32, too."""
    q, g, p, d = 30, 40, 6, 257
    parts = [PartQueries(torch.randn(n, p, d, device=DEVICE), torch.rand(n, p, c, device=DEVICE)) for n in (q, g)]
    sides = [
        Encoded(torch.randn(n, t, c, device=DEVICE), torch.randn(n, t, d, device=DEVICE), x)
        for n, x in zip((q, g), parts, strict=True)
    ]
    norm = nn.BatchNorm1d(p * c, device=DEVICE).eval()
    sides = [side.to(dtype) for side in sides]
    with torch.no_grad():
        for precision in (False, True) if dtype == torch.float32 else (False,):
            monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", precision)
            found = target_aware_similarity(sides[0], sides[1], TSAA(3), norm=norm)
            wide = [side.to(torch.float64) for side in sides]
            monkeypatch.setattr(pairs, "_kernels", lambda tokens, keys: None)
            expected = target_aware_similarity(wide[0], wide[1], TSAA(3), norm=norm.double())
            norm.float()
            monkeypatch.setattr(pairs, "_kernels", lambda tokens, keys: fused)
            tolerance = 1e-5 if dtype == torch.float32 and not precision else 1e-2
            close(found.double(), expected, rtol=0, atol=tolerance)
