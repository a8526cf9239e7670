"""Fewer tokens: those of an image that are alike become one, with their common weight."""

from __future__ import annotations

import torch
from torch import Tensor

from concordant import Encoded

ROUNDS = 8
"""Of k-means: afterwards few tokens change their cluster."""


def pool(images: Encoded, clusters: int) -> Encoded:
    """Each image with at most so many tokens: the clusters of its own by k-means.

    The gate s of a token, which is the last channel of its key, is its weight. A cluster C has the weighted means of
    its tokens and of their keys, and the gate of all of them:

        T_C = Σ s_j T_j / s_C,   T̂_C = Σ s_j T̂_j / s_C,   s_C = Σ s_j        (sums over j in C)

    A token is compared with others by its features and its key, each divided by its spread in the image. If the tokens
    of each cluster are equal, every attention reads what it read before.

    Args:
        images: of a model with a `TokenGate` (`CAL(gate=True)`).
        clusters: at least 1; with as many as there are tokens, only their order changes.
    """
    tokens, (keys, log_gate), mask = images.tokens, images.keys.split([images.keys.shape[2] - 1, 1], dim=2), images.mask
    if mask is not None:
        tokens, keys = (x.masked_fill(~mask[:, :, None], 0.0) for x in (tokens, keys))
        log_gate = log_gate.masked_fill(~mask[:, :, None], torch.finfo(log_gate.dtype).min)
    highest = log_gate.amax(dim=1, keepdim=True)  # far from it, exp gives zeros
    mass = (log_gate - highest).exp()
    if mask is not None:
        mass = mass * mask[:, :, None]
    member = _clusters(torch.cat([_scaled(tokens, mass), _scaled(keys, mass)], dim=2), mass, clusters)
    shares = member * mass.transpose(1, 2)
    total = shares.sum(dim=2, keepdim=True)
    smallest = torch.finfo(total.dtype).tiny
    shares = shares / total.clamp_min(smallest)
    gates = torch.where(total > 0, total.clamp_min(smallest).log() + highest, 0.0)
    pooled = torch.cat([shares @ keys, gates], dim=2)
    return Encoded(shares @ tokens, pooled, images.part_queries, (total > 0)[:, :, 0], images.part_mask)


def _scaled(features: Tensor, mass: Tensor) -> Tensor:
    """Features [n t c] of which each image has the same spread about its mean, weighted by mass [n t 1]."""
    share = mass / mass.sum(dim=1, keepdim=True).clamp_min(torch.finfo(mass.dtype).tiny)
    away = features - (share * features).sum(dim=1, keepdim=True)
    spread = (share * away.square()).sum(dim=(1, 2), keepdim=True).sqrt()
    return away / spread.clamp_min(torch.finfo(spread.dtype).tiny)


def _clusters(features: Tensor, mass: Tensor, number: int) -> Tensor:
    """[n k t]: 1 where token t [n t c] is in cluster k; those of mass 0 are in any.

    k-means starts from the heaviest token. Each further start is the token with the largest product of mass and squared
    distance to the former ones. Nothing is drawn at random: an image has the same clusters in any batch.
    """
    t, c = features.shape[1:]
    number = min(number, t)
    nearest, place = torch.full_like(mass, torch.inf), mass.argmax(dim=1, keepdim=True)
    starts = []
    for _ in range(number):
        starts.append(features.gather(1, place.expand(-1, -1, c)))
        nearest = torch.minimum(nearest, (features - starts[-1]).square().sum(dim=2, keepdim=True))
        place = (nearest * mass).argmax(dim=1, keepdim=True)
    centres = torch.cat(starts, dim=1)
    for _ in range(ROUNDS):
        member = _nearest(features, centres)
        weights = member * mass.transpose(1, 2)
        total = weights.sum(dim=2, keepdim=True)
        means = weights @ features / total.clamp_min(torch.finfo(total.dtype).tiny)
        centres = torch.where(total > 0, means, centres)
    return _nearest(features, centres)


def _nearest(features: Tensor, centres: Tensor) -> Tensor:
    """[n k t]: 1 where centre k is the nearest to token t."""
    distance = centres.square().sum(dim=2, keepdim=True) - 2 * centres @ features.transpose(1, 2)
    first = distance.argmin(dim=1, keepdim=True)
    return torch.zeros_like(distance).scatter_(1, first, 1.0)
