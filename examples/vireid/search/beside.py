"""The part store beside a store of embeddings: what the second stage of a search reads, kept in step with the first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from concordant import CAL, Encoded
from vireid.search.parts import MANIFEST, PartStore
from vireid.search.parts_code import PartSettings
from vireid.search.store import Hits, Identity, Store, is_server


def open_parts(where: str, identity: Identity, create: PartSettings | None = None) -> PartStore | None:
    """The part store beside a store: the directory `gallery.parts` of `gallery`, `gallery.db.parts` of `gallery.db`.

    Args:
        create: how images are to be kept; the part store is created with it where there is none, else it gives None.

    Raises:
        ValueError: the store is on a server, where there is no place; or the part store is of another model, or keeps
            another number of clusters.
    """
    if is_server(where):
        if create is not None:
            raise ValueError(f"open_parts: `--parts` needs a store in a directory or a file; got {where}")
        return None
    place = Path(where).absolute()
    folder = place.with_name(f"{place.name}.parts")
    if not (folder / MANIFEST).is_file():
        return None if create is None else PartStore.create(folder, identity.model, create)
    found = PartStore.open(folder, identity.model)
    if create is not None and create.clusters not in (None, found.settings.clusters):
        raise ValueError(
            f"open_parts: `--clusters` must be that of {folder}, {found.settings.clusters}; got {create.clusters}"
        )
    return found


def compact(parts: PartStore, store: Store) -> None:
    """Free the room of deleted images, also of those that an interrupted deletion or addition left here alone."""
    ids = parts.ids.numpy()
    parts.delete(torch.from_numpy(ids[~store.held(ids)]))
    parts.compact()


def rerank(parts: PartStore, model: CAL, queries: Encoded, hits: Hits, k: int) -> Hits:
    """The k best of each short list by target-aware similarity, best first.

    Raises:
        ValueError: an image of a list has no parts.
    """
    listed = np.unique(hits.ids.numpy())
    if lacking := int((~np.isin(listed[listed >= 0], parts.ids.numpy())).sum()):
        raise ValueError(
            f"rerank: {parts.folder} must have the parts of all images; got none of {lacking} in the short list: "
            "add their directory again with --parts"
        )
    values = parts.compare(queries, hits.ids, model.similarity)
    order = values.argsort(dim=1, descending=True, stable=True)[:, :k]
    return Hits(values.gather(1, order), hits.ids.gather(1, order))
