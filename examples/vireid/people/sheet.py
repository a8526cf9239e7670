"""A contact sheet of a data set in the layout of SYSU-MM01: people in rows, cameras in columns."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PIL import Image, ImageDraw

from vireid.files import is_litter, replace_file
from vireid.people.camera import CAMERAS, INFRARED_CAMERAS, VISIBLE_CAMERAS
from vireid.people.person import FAMILY
from vireid.pictures import open_picture

PAPER, INK, PALE = (255, 255, 255), (40, 40, 40), (150, 150, 150)
HEADER, MARGIN, GAP = 18, 36, 10


def list_pictures(root: Path, identity: int, camera: int) -> list[Path]:
    folder = root / f"cam{camera}" / f"{identity:04d}"
    return sorted(path for path in folder.glob("*.jpg") if not is_litter(path.name))


def contact_sheet(
    root: Path | str,
    path: Path | str,
    *,
    identities: Sequence[int] = tuple(range(1, 4 * FAMILY + 1)),
    visible: int = 1,
    infrared: int = 2,
    scale: int = 2,
    blocks: int = 2,
) -> Path:
    """Draw a sheet of people and save it as PNG at `path`.

    A row is an identity, with `visible` pictures of each visible camera and `infrared` of each infrared one, enlarged
    `scale` times; families of three are set apart. Rows are laid out in `blocks` side by side.

    Raises:
        ValueError: an identity has fewer pictures than the sheet needs.
    """
    root, path = Path(root), Path(path)
    columns = [(camera, index) for camera in VISIBLE_CAMERAS for index in range(visible)]
    columns += [(camera, index) for camera in INFRARED_CAMERAS for index in range(infrared)]
    rows = {identity: pictures_of(root, identity, columns, scale) for identity in identities}
    width, height = next(iter(rows.values()))[0].size

    families = [list(identities[start : start + FAMILY]) for start in range(0, len(identities), FAMILY)]
    stacks = [families[block::blocks] for block in range(blocks)]
    block_width = MARGIN + width * len(columns) + GAP
    block_height = max(sum(len(family) * height + GAP for family in stack) for stack in stacks)
    sheet = Image.new("RGB", (blocks * block_width, HEADER + block_height), PAPER)
    draw = ImageDraw.Draw(sheet)
    for block, stack in enumerate(stacks):
        left, top = block * block_width + MARGIN, HEADER
        for column, (camera, _) in enumerate(columns):
            draw.text((left + column * width + 2, 3), f"cam {camera}", fill=PALE if CAMERAS[camera].infrared else INK)
        for family in stack:
            for identity in family:
                draw.text((left - MARGIN + 4, top + height // 2), f"{identity:04d}", fill=INK)
                for column, picture in enumerate(rows[identity]):
                    sheet.paste(picture, (left + column * width, top))
                top += height
            top += GAP
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, partial(sheet.save, format="PNG"))
    return path


def pictures_of(root: Path, identity: int, columns: list[tuple[int, int]], scale: int) -> list[Image.Image]:
    pictures = []
    for camera, index in columns:
        files = list_pictures(root, identity, camera)
        if index >= len(files):
            raise ValueError(
                f"contact_sheet: {root} must hold at least {index + 1} pictures of identity {identity} in camera "
                f"{camera}; got {len(files)}"
            )
        image = open_picture(files[index])
        size = (scale * image.width, scale * image.height)
        pictures.append(image.convert("RGB").resize(size, Image.Resampling.BICUBIC))
    return pictures
