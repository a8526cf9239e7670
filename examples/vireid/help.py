"""`--help` of the trainers: their many flags in three groups, wrapped to the width of the terminal."""

from __future__ import annotations

import re
import shutil
import textwrap
import warnings
from argparse import SUPPRESS, ArgumentParser, RawDescriptionHelpFormatter
from functools import partial

import tyro

from vireid.config import Settings

WIDEST = 100
ESSENTIAL = {
    *("h", "root", "modalities", "trial", "out", "resume", "overwrite", "fast-dev-run"),
    *("optim.steps", "data.identities", "data.images", "data.height", "data.width", "model.backbone", "model.parts"),
}
ABLATIONS = {
    *("method", "recipe", "data.views", "model.queries", "model.shared-miner", "model.equal-scorers"),
    *("model.attention", "model.channel-gate", "model.instance-norm", "model.norm-source", "model.gate"),
    *("model.protect-attention", "loss.label-smoothing", "loss.metric", "loss.l2-normalize", "loss.cosine"),
    *("loss.reduction", "loss.contrast"),
}
"""Flags by group, without dashes; all others are common."""
GROUPS = {
    "essential": "What a run needs.",
    "common": "What is often changed: optimisation, augmentation, weights of losses, evaluation.",
    "ablations": "What the method is made of: a part of it is replaced, or switched off to measure its effect.",
}


def group_of(flag: str) -> str:
    return "essential" if flag in ESSENTIAL else "ablations" if flag in ABLATIONS else "common"


def help_of(default: Settings, name: str, description: str | None) -> str:
    """The text of `--help` for a trainer with these defaults."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # tyro would have us call it, not read its flags
        flags = tyro.extras.get_parser(type(default), default=default)._actions
    width = min(shutil.get_terminal_size().columns, WIDEST)
    parser = ArgumentParser(
        name,
        usage=f"python examples/{name}.py [flags]",
        description=wrapped(description or "", width),
        formatter_class=partial(RawDescriptionHelpFormatter, width=width, max_help_position=30),
        add_help=False,
    )
    groups = {title: parser.add_argument_group(title, wrapped(text, width - 2)) for title, text in GROUPS.items()}
    for flag in flags:
        text = re.sub(r"\s*\(default: None\)$", "", flag.help or "").replace("%", "%%")
        metavar = flag.metavar if isinstance(flag.metavar, str) else " ".join(flag.metavar or ())
        group = groups[group_of(flag.option_strings[0].lstrip("-"))]
        if flag.metavar is None:  # a switch, with its opposite
            group.add_argument(*flag.option_strings, action="store_true", help=text, default=SUPPRESS)
        else:
            group.add_argument(*flag.option_strings, metavar=metavar.replace("{None}|", ""), help=text)
    return parser.format_help()


def wrapped(text: str, width: int) -> str:
    """Paragraphs filled to a width; blocks that are indented, such as commands, stay as they are."""
    blocks = re.split(r"\n\s*\n", text.strip())
    return "\n\n".join(block if block.startswith(" ") else textwrap.fill(block, width) for block in blocks)
