"""Search with a trained model: in a directory of images of any size, and measurements of the ways to search.

    python examples/search.py add IMAGES --store gallery        # embed all images below it; again: only new ones
    python examples/search.py find QUERY.jpg --store gallery    # the nearest images: a table, JSON and a picture
    python examples/search.py delete IMAGES/cam3 --store gallery
    python examples/search.py build --store gallery --kind approximate      # an index for more than a million images
    python examples/search.py add IMAGES --store gallery --parts            # also keep what the next line reads
    python examples/search.py find QUERY.jpg --store gallery --rerank 100   # order the 100 nearest target-aware
    accelerate launch --cpu --num_processes 2 examples/search.py add IMAGES --store gallery.db

    python examples/search.py                                   # ways: three ways to rank the gallery of `make demo`
    python examples/search.py scale --size 1000000              # FAISS over a million embeddings, exact and approximate
    python examples/search.py engines --sizes 10000 100000      # FAISS and Milvus in one table
    python examples/search.py parts --run runs/demo             # ways to keep encoded images for the second stage
    python examples/search.py wide                              # the time of that stage at a ResNet-50's width

`--store` is a directory (FAISS), a file `….db` (Milvus Lite, in this process) or the address of a Milvus server,
`http://host:19530`. The images stay where they are: a store has their embeddings, paths, cameras, times and modalities.
What was added is there after any interruption, and the same command goes on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from tyro.conf import CascadeSubcommandArgs, OmitArgPrefixes, OmitSubcommandPrefixes, arg, configure, subcommand

from vireid.command import cli, script
from vireid.search.options import Add, Build, Delete, Engines, Find, Parts, Scale, Ways, Wide

Action = (
    Annotated[Ways, subcommand("ways")]
    | Annotated[Add, subcommand("add")]
    | Annotated[Find, subcommand("find")]
    | Annotated[Delete, subcommand("delete")]
    | Annotated[Build, subcommand("build")]
    | Annotated[Scale, subcommand("scale")]
    | Annotated[Engines, subcommand("engines")]
    | Annotated[Parts, subcommand("parts")]
    | Annotated[Wide, subcommand("wide")]
)


@configure(CascadeSubcommandArgs, OmitArgPrefixes, OmitSubcommandPrefixes)
@dataclass(frozen=True)
class Options:
    action: Annotated[Action, arg(name="")] = field(default_factory=Ways)
    """What to do."""


def main(options: Options) -> None:
    from vireid.search.actions import act

    act(options.action)


if __name__ == "__main__":
    with script("search", lambda: "; what was added is kept, and the same command goes on"):
        main(cli(Options, description=__doc__))
