"""The two diagrams of docs/architecture.md: `python docs/tools/diagrams.py` writes docs/images/{data,imports}.svg.

The imports are read from the code. The flow of the data is written down here, and tests/test_architecture.py compares
it with gradients. The colours can be read on a light and on a dark page.
"""

from __future__ import annotations

import ast
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "concordant"
SOURCES = sorted(SOURCE.rglob("*.py"))
IMAGES = ROOT / "docs" / "images"

FILL = {"model": "#cfe6f7", "loss": "#fbe2b0", "retrieval": "#c9ecdd", "base": "#e3e5e8"}
INK, LINE = "#17202a", "#7f8c99"

# imports -------------------------------------------------------------------------------------------------------------

GROUPS = {
    "the system": ("loss", ("losses.cal", "cal", "output")),
    "losses": (
        "loss",
        ("losses.part_center", "losses.match_distill", "losses.discriminative", "losses.diversity")
        + ("losses.equivariance", "losses.coverage", "losses.hetero_center", "losses.triplet", "losses.contrastive"),
    ),
    "retrieval": (
        "retrieval",
        ("retrieval.similarity", "retrieval.pairs", "retrieval.fused", "retrieval.encoded", "retrieval.rerank")
        + ("retrieval.metrics",),
    ),
    "attention": (
        "model",
        ("layers.tsaa", "layers.dot_product", "layers.gate", "layers.instance_norm", "layers.attention", "diagnostics"),
    ),
    "finding parts": ("model", ("layers.mining", "layers.scoring", "layers.aggregation", "layers.classifier")),
    "pairs and rows": ("base", ("matching", "layers.modality", "distributed", "crops")),
}
"""Every module has a place, above all that it imports."""
BASE = ("_checks", "_precision", "_reduce", "_distance", "_module", "_mask", "_look")
NAMES = ("__init__", "functional")
"""They import everything, for its name only."""


def imports(path: Path) -> set[str]:
    """Every module that a file imports, at its top or anywhere else."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(f"imports: imports must be absolute; got a relative one in {path.name}")
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names if node.module == "concordant" else {str(node.module)}
    return found


def own_imports() -> dict[str, set[str]]:
    """The modules of the library, and which of them each imports."""
    packages = {path.parent.name for path in SOURCES if path.name == "__init__.py"} - {"concordant"}
    named = {".".join(path.relative_to(SOURCE).with_suffix("").parts): path for path in SOURCES}
    return {
        name: {other.removeprefix("concordant.") for other in imports(path) if other.startswith("concordant.")}
        for name, path in named.items()
        if name.removesuffix(".__init__") not in packages
    }


def draw_imports(graph: dict[str, set[str]]) -> str:
    """An arc from each module to each that it imports, always downwards; dots for the private modules."""
    order = [name for _, names in GROUPS.values() for name in names]
    if homeless := sorted(set(order + list(BASE + NAMES)) ^ set(graph)):
        raise ValueError(f"draw_imports: `GROUPS` must have every module and no other; got {', '.join(homeless)} amiss")
    left, right, row, y = 110, 270, 25, 84
    places, shapes, labels = {}, [], []
    for title, (kind, names) in GROUPS.items():
        for name in names:
            places[name] = y
            labels.append(_box(left, y - 10, right - left, 20, kind, [(name, 12, "mono")]))
            y += row
        middle = (places[names[0]] + places[names[-1]]) / 2
        labels.append(_text(528, middle + 4, title, size=11, anchor="end", colour=LINE))
        y += 7
    bottom = y - 10
    for name in order:
        for needed in sorted(graph[name] - set(BASE), key=order.index):
            start, end = places[name], places[needed]
            if end <= start:
                raise ValueError(f"draw_imports: `GROUPS` must have {needed} below {name}, which imports it")
            whole = name in GROUPS["the system"][1]
            side, reach = (left, -1) if whole else (right, 1)
            colour = {"losses.cal": "#d98200", "cal": "#2f8fc9"}.get(name, LINE)
            width = {"losses.cal": 96, "cal": 86}.get(name, 60)
            bend = side + reach * (14 + width * (end - start) / (row * len(order)) * 1.25)
            shapes.append(
                _arrow(f"M{side} {start} C{bend:.0f} {start} {bend:.0f} {end} {side + 3 * reach} {end}", colour)
            )
    for column, base in enumerate(BASE):
        x = 346 + 20 * column
        label = _text(0, 0, base, size=11, family="mono", colour=LINE)
        labels.append(f'<g transform="translate({x + 3} 66) rotate(-50)">{label}</g>')
        ys = [places[name] for name in order if base in graph[name]]
        labels += [f'<circle cx="{x}" cy="{y}" r="4" fill="{LINE}"/>' for y in ys]
    below: list[tuple[str, float, str]] = [(", ".join(NAMES), 11, "mono"), ("the public names", 11, "sans")]
    top = _box(left - 14, 18, right - left + 28, 40, "base", below)
    return _svg(532, bottom, "Which module imports which", [*shapes, *labels, top])


# the flow of the data ------------------------------------------------------------------------------------------------

FLOW = {
    "images": (),
    "feature_map": ("images",),
    "mined": ("feature_map",),
    "tokens": ("feature_map",),
    "keys": ("tokens",),
    "part_queries": ("mined", "tokens"),
    "own": ("tokens", "keys", "part_queries"),
    "cross": ("tokens", "keys", "part_queries"),
    "embeddings": ("tokens", "own"),
}
"""What each thing is made from."""
READS = {
    "id": ("logits",),
    "part_id": ("own_logits", "cross_logits"),
    "pcl": ("own.features", "cross.features"),
    "triplet": ("features",),
    "part_triplet": ("own.features",),
    "kd1": ("own.attention", "cross.attention"),
    "kd2": ("own_logits", "cross_logits"),
    "dis": ("mined_logits",),
    "div": ("mined.selection",),
    "attention_div": ("own.attention",),
    "equivariance": ("own.attention", "seen", "crops"),
    "coverage": ("own.attention", "saliency"),
}
"""What of `CALOutput` each term of `LossTerms` reads."""
MAKERS: tuple[str, ...]
MAKERS = ("to_tokens", "PartMiner", "TSAA.encode_parts", "TSAA.attend", "CAL.encode", "CAL.embed", "CAL.observe")
MAKERS += ("CALLoss", "LossTerms", "Encoded", "target_aware_similarity", "rank_metrics")
"""The names of the library that the picture has."""


def draw_data() -> str:
    """From images to losses, and to rankings, from top to bottom."""
    mono, sans = "mono", "sans"
    losses = [(f"{term} ← {', '.join(fields)}", 10.5, mono) for term, fields in READS.items()]
    cross, embed = "cross: on partner j's tokens", "CAL.embed → (n, e)"
    boxes = [
        _box(22, 2, 356, 34, "base", [("images (n, …), labels (n), modality (n)", 11, mono)]),
        _box(22, 72, 356, 34, "model", [("feature map X (n, c, h, w)", 12, mono)]),
        _box(160, 142, 218, 40, "model", [("parts P (n, p, c)", 11, mono), ("selection Ŝ (n, p, t)", 11, mono)]),
        f'<rect x="14" y="206" width="372" height="92" rx="8" fill="none" stroke="{LINE}" stroke-dasharray="5 4"/>',
        _text(24, 290, "CAL.encode → Encoded, computed once per image", size=11, colour=LINE),
        _box(22, 226, 92, 46, "model", [("tokens T", 12, sans), ("(n, t, c)", 11, mono)]),
        _box(132, 226, 92, 46, "model", [("keys T̂", 12, sans), ("(n, t, d)", 11, mono)]),
        _box(242, 226, 136, 46, "model", [("queries P̂, gates", 12, sans), ("(n, p, d) (n, p, c)", 10.5, mono)]),
        _box(
            22, 336, 170, 46, "model", [("own: i's parts on i's tokens", 11, sans), ("(n, p, c) (n, p, t)", 11, mono)]
        ),
        _box(208, 336, 170, 46, "model", [(cross, 11, sans), ("(n, p, c) (n, p, t)", 11, mono)]),
        _box(22, 414, 356, 218, "loss", [("CALLoss → LossTerms, in training", 12, sans), *losses]),
        _box(22, 668, 356, 24, "loss", [("M, the matching → CAL.observe → M̂, the order of parts", 11, sans)]),
        _box(22, 728, 138, 46, "retrieval", [(embed, 11, sans), ("mean token, own parts", 10.5, sans)]),
        _box(208, 728, 170, 46, "retrieval", [("target_aware_similarity", 11, mono), ("(q, g)", 11, mono)]),
        _box(22, 806, 356, 26, "retrieval", [("rank_metrics: CMC, mAP, mINP", 11, sans)]),
    ]
    arrows = [
        _arrow("M200 36 V70"),
        _arrow("M72 106 V224"),
        _arrow("M269 106 V140"),
        _arrow("M320 182 V224"),
        _arrow("M114 249 H130"),
        _arrow("M100 226 V214 H262 V224"),  # tokens to queries, over the keys
        _arrow("M107 298 V334"),
        _arrow("M293 298 V334"),
        _arrow("M107 382 V412"),
        _arrow("M293 382 V412"),
        _arrow("M378 162 H408 V522 H380"),  # mined parts to their losses
        _arrow("M200 632 V666"),
        _arrow("M22 359 H8 V751 H20"),  # own parts to the embedding
        _arrow("M386 252 H396 V751 H380"),  # what is encoded to the comparison
        _arrow("M160 751 H206"),
        _arrow("M91 774 V804"),
        _arrow("M293 774 V804"),
    ]
    notes = [
        _text(208, 57, "backbone", size=11, colour=LINE),
        _text(80, 130, "to_tokens", size=11, colour=LINE),
        _text(277, 130, "PartMiner", size=11, colour=LINE),
        _text(312, 199, "encode_parts", size=11, colour=LINE, anchor="end"),
        _text(115, 322, "TSAA.attend", size=11, colour=LINE),
        _text(301, 322, "TSAA.attend", size=11, colour=LINE),
        _text(183, 744, "short list", size=10, colour=LINE, anchor="middle"),
    ]
    return _svg(420, 836, "How the data flows through CAL", [*arrows, *boxes, *notes])


# drawing -------------------------------------------------------------------------------------------------------------

FAMILY = {"sans": "system-ui,Helvetica,Arial,sans-serif", "mono": "ui-monospace,Menlo,Consolas,monospace"}


def _text(
    x: float, y: float, text: str, *, size: float, anchor: str = "start", family: str = "sans", colour: str = INK
) -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" font-family="{FAMILY[family]}" font-size="{size:g}" text-anchor="{anchor}" '
        f'fill="{colour}">{escape(text)}</text>'
    )


def _box(x: float, y: float, width: float, height: float, kind: str, lines: list[tuple[str, float, str]]) -> str:
    """A box with its lines in the middle; more than two start at the left."""
    step = 16
    first = y + height / 2 - step * (len(lines) - 1) / 2 + 4
    at, anchor = (x + width / 2, "middle") if len(lines) < 3 else (x + 12, "start")
    texts = [
        _text(at, first + step * i, line, size=size, anchor=anchor, family=family)
        for i, (line, size, family) in enumerate(lines)
    ]
    box = f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="5" fill="{FILL[kind]}"/>'
    return box + "".join(texts)


def _arrow(path: str, colour: str = LINE) -> str:
    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.4" marker-end="url(#{colour[1:]})"/>'


def _svg(width: float, height: float, title: str, shapes: list[str]) -> str:
    colours = sorted({shape.split("url(#")[1][:6] for shape in shapes if "url(#" in shape})
    heads = "".join(
        f'<marker id="{colour}" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="6" markerHeight="6" orient="auto">'
        f'<path d="M0 0L8 4L0 8z" fill="#{colour}"/></marker>'
        for colour in colours
    )
    head = f'viewBox="0 0 {width:g} {height:g}" width="{1.3 * width:g}" role="img" aria-label="{title}"'
    body = "\n".join(shapes)
    inner = f"<title>{title}</title>\n<defs>{heads}</defs>\n{body}"
    return f'<svg xmlns="http://www.w3.org/2000/svg" {head}>\n{inner}\n</svg>\n'


def diagrams() -> dict[str, str]:
    """The files, by their names in docs/images."""
    return {"data.svg": draw_data(), "imports.svg": draw_imports(own_imports())}


if __name__ == "__main__":
    for name, picture in diagrams().items():
        (IMAGES / name).write_text(picture)
