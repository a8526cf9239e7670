"""All messages on the troubleshooting page are messages of the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from functools import cache

import pytest
import torch
from safetensors.torch import save
from torch import nn

from concordant import CAL, TSAA, CALLoss, HorizontalParts, PartCenterLoss, PartMiner, match_parts, rank_metrics
from support.pages import ROOT, blocks

MESSAGES = [block.text.strip() for block in blocks(ROOT / "docs" / "troubleshooting.md", "text")]
IMAGES, LABELS, MODALITY = torch.randn(4, 3, 32, 16), torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1])


def cal(channels: int = 64, backbone: nn.Module | None = None, miner: nn.Module | None = None) -> CAL:
    backbone = nn.Conv2d(3, 64, 8, stride=8) if backbone is None else backbone
    return CAL(backbone, channels, num_classes=2, num_parts=4, miner=miner)


def pooling() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 64, 8, stride=8), nn.AdaptiveAvgPool2d(1), nn.Flatten())


MISTAKES: list[Callable[[], object]] = [
    lambda: PartMiner(256, num_parts=6)(torch.randn(2, 72, 256)),
    lambda: TSAA(256)(torch.randn(2, 256, 72), torch.randn(2, 6, 256)),
    lambda: cal(backbone=pooling())(IMAGES, LABELS, MODALITY),
    lambda: cal(channels=128)(IMAGES, LABELS, MODALITY),
    lambda: cal(miner=HorizontalParts(6))(IMAGES, LABELS, MODALITY),
    lambda: cal()(IMAGES, LABELS, MODALITY + 1),
    lambda: PartCenterLoss()(torch.randn(4, 6, 8), torch.randn(4, 6, 8), LABELS, MODALITY[:3]),
    lambda: cal()(IMAGES, LABELS.float(), MODALITY),
    lambda: CALLoss()(cal()(IMAGES, LABELS + 1, MODALITY), LABELS + 1, MODALITY),
    lambda: match_parts(torch.full((1, 2, 2), float("nan"))),
    lambda: rank_metrics(torch.rand(2, 3), torch.tensor([1, 2]), torch.tensor([3, 4, 5])),
    lambda: save(nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last).state_dict()),
    lambda: torch.jit.script(TSAA(8)),
]
"""The mistakes that the page explains under "Messages of the library", in its order."""


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
@pytest.mark.parametrize(("message", "mistake"), list(zip(MESSAGES, MISTAKES, strict=False)), ids=range(len(MISTAKES)))
def test_the_library_says_so(message: str, mistake: Callable[[], object]) -> None:
    kinds = (ValueError, IndexError, RuntimeError, torch.jit.frontend.NotSupportedError)
    with pytest.raises(kinds, match=re.escape(message)):
        mistake()


def pattern_of(message: ast.expr) -> str:
    """A pattern of a message: its literal text, and any text for the formatted values."""
    if isinstance(message, ast.Constant):
        return r"\s+".join(map(re.escape, re.split(r"\s+", str(message.value))))
    if isinstance(message, ast.JoinedStr):
        return "".join(map(pattern_of, message.values))
    return ".*"


@cache
def raised() -> list[re.Pattern[str]]:
    """The messages of the examples' errors that are long enough to be told from others."""
    trees = [ast.parse(path.read_text()) for path in (ROOT / "examples").rglob("*.py")]
    calls = [node.exc for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Raise)]
    patterns = [pattern_of(call.args[0]) for call in calls if isinstance(call, ast.Call) and call.args]
    named = [re.sub(r"^\.\*", r"\\w+", pattern) for pattern in patterns]  # at its start a message has one name
    return [re.compile(pattern, re.DOTALL) for pattern in named if len(re.findall("[a-z]", pattern)) > 10]


def without_script(message: str) -> str:
    """A message as it is raised: without the name of the command, and without the marks of omissions."""
    return re.sub(r"^train_\w+: ", "", message).replace("…", "")


@pytest.mark.parametrize("message", MESSAGES[len(MISTAKES) :])
def test_the_trainers_say_so(message: str) -> None:
    assert any(pattern.fullmatch(without_script(message)) for pattern in raised())
