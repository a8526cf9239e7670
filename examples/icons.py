"""Names of icons and icons: words that find their parts in a picture.

    python examples/icons.py

A name such as `cloud-lock` must find its icon among a thousand that no training saw; it saw each of their words. Words
are tokens with padding, a picture is a grid of 8 × 8. Target-aware similarity, in which each word looks for its part of
the icon, is compared with pooling, CLIP's attention pooling, and CAL's losses, at equal steps and at equal CPU
time. The icons are Material Design Icons (Apache 2.0), of the installed package mkdocs-material.
"""

from __future__ import annotations

from other_tasks.options import IconOptions
from vireid.command import cli, script


def main(options: IconOptions) -> None:
    from other_tasks.icons import run

    run(options)


if __name__ == "__main__":
    with script("icons"):
        main(cli(IconOptions, description=__doc__))
