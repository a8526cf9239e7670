"""Why two images are similar: the parts' shares against loops, and the files that show them."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from concordant import Encoded
from support.oracles import cosine
from support.trained import ORDER, SMALL_MODEL, images_of, looks_trained
from vireid.config import ModelConfig
from vireid.datasets.cache import read_picture
from vireid.evaluation.explain import explain, explain_files
from vireid.evaluation.inference import encode
from vireid.models.build import BuiltCAL


@pytest.fixture(scope="module")
def model() -> BuiltCAL:
    built = looks_trained(BuiltCAL(ModelConfig(replace(SMALL_MODEL, parts=4), 64, 32, 3)))
    assert isinstance(built, BuiltCAL)
    return built


def encoded(model: BuiltCAL) -> tuple[Encoded, Encoded]:
    with torch.no_grad():
        return model.encode(images_of(1, 64, 32).double(), 1), model.encode(images_of(2, 64, 32)[1:].double(), 0)


def test_each_part_adds_its_cosine_and_all_add_up(model: BuiltCAL) -> None:
    model = looks_trained(BuiltCAL(model.config)).double()  # type: ignore[assignment]
    query, gallery = encoded(model)
    contributions, maps = explain(model, query, gallery)
    assert contributions.sum().item() == pytest.approx(model.similarity(query, gallery).item(), abs=1e-6)
    for row, direction in enumerate(("query", "gallery")):
        one_way = model.similarity(query, gallery, direction=direction)  # type: ignore[arg-type]
        assert contributions[row].sum().item() == pytest.approx(one_way.item() / 2, abs=1e-6)
    with torch.no_grad():
        for row, owner in enumerate((query, gallery)):
            read = [model.attention.attend(side.tokens, side.keys, owner.part_queries) for side in (query, gallery)]
            one, other = (model.part_norm(x.features.flatten(1)).view(4, -1).tolist() for x in read)
            for part in range(4):
                expected = cosine(one[part], other[part], 1e-12) / 8
                assert contributions[row, part].item() == pytest.approx(expected, abs=1e-9)
            torch.testing.assert_close(maps[row], torch.stack([x.attention[0] for x in read], dim=1))
    again = explain(model, gallery, query)
    torch.testing.assert_close(again.contributions, contributions.flip(0))
    torch.testing.assert_close(again.maps, maps.flip(0, 2))
    with pytest.raises(ValueError, match="must be one image each; got 2 and 1"):
        explain(model, Encoded.cat([query, query]), gallery)


def test_the_page_is_whole_and_has_the_numbers(model: BuiltCAL, tmp_path: Path) -> None:
    paths = tmp_path / "a<b>.png", tmp_path / "</script>.png"
    paths[1].parent.mkdir()
    for path, pixels in zip(paths, np.random.default_rng(0).integers(0, 256, (2, 90, 40, 3), np.uint8), strict=True):
        Image.fromarray(pixels).save(path)
    console = Console(file=io.StringIO(), width=200)
    explain_files(model, paths, (1, 0), tmp_path / "out", console)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"explain.html", "explain.json", "explain.png"}
    numbers = json.loads((tmp_path / "out" / "explain.json").read_text())
    own, others = numbers["parts of the query"], numbers["parts of the gallery image"]
    assert sum(own) + sum(others) == pytest.approx(numbers["similarity"], abs=1e-6)
    page = (tmp_path / "out" / "explain.html").read_text()
    assert page.count("</script>") == 1
    assert not re.search(r"https?:|<link|(src|href)=", page)
    assert "a&lt;b&gt;.png" in page
    found = re.search(r"^const data = (.*);$", page, re.MULTILINE)
    assert found is not None
    data = json.loads(found[1])
    assert [image["name"][-len(path.name) :] for image, path in zip(data["images"], paths, strict=True)] == [
        path.name for path in paths
    ]
    for side, shares in zip(data["sides"], (own, others), strict=True):
        assert [part["share"] for part in side["parts"]] == shares
        assert np.array(side["tokens"]).shape == (8, 4)
        layers = [layer for part in side["parts"] for layer in part["layers"]]
        assert len({*layers}) == 8
        assert all(layer.startswith("data:image/png;base64,") for layer in layers)
    # Parts of the infrared image are numbered as those of the visible one that M̂ matches with them.
    images = np.stack([read_picture(path, (64, 32)) for path in paths])
    sides = [
        encode(model, images[[side]], np.array([modality]), device=torch.device("cpu"), progress=False)
        for side, modality in enumerate((1, 0))
    ]
    raw = explain(model, *sides).contributions
    torch.testing.assert_close(torch.tensor([own, others]), torch.stack([raw[0, ORDER], raw[1]]))
    assert f"similarity {numbers['similarity']:.3f}" in console.file.getvalue()  # type: ignore[attr-defined]
    with pytest.raises(FileNotFoundError, match=r"read_picture: no image at .*gone\.png"):
        explain_files(model, (paths[0], tmp_path / "gone.png"), (1, 0), tmp_path / "out", console)
    (tmp_path / "cut.png").write_bytes(paths[0].read_bytes()[:100])
    with pytest.raises(ValueError, match=r"read_picture: an image must be complete .*cut\.png"):
        explain_files(model, (paths[0], tmp_path / "cut.png"), (1, 0), tmp_path / "out", console)
