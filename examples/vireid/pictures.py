"""Reading image files: only the formats that data sets use, and upright."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from PIL import Image

from vireid.files import reason_of

FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP")
"""Formats that are decoded, by content and not by name: PostScript would run Ghostscript. Phones' MPO is a JPEG."""

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
"""Of files that are looked for as images, where other files may lie beside them."""

ORIENTATION = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""By EXIF orientation. (Pillow's `exif_transpose` rewrites the other tags, and fails on damaged ones.)"""


def open_picture(path: Path | str | BinaryIO) -> Image.Image:
    """A decoded image, of a file or of what a file would hold, turned as its EXIF says.

    Raises:
        ValueError: it has another format, or is damaged; `__cause__` has the reason only.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            image.load()  # before the EXIF is read: loading turns TIFF files
            turn = TURNS.get(image.getexif().get(ORIENTATION, 1))
            return image if turn is None else image.transpose(turn)
    # The errors of Pillow's decoders, by format and kind of damage.
    except (OSError, SyntaxError, ValueError, IndexError, EOFError, Image.DecompressionBombError) as error:
        kinds = ", ".join(FORMATS)
        raise ValueError(f"open_picture: {path} must be a complete image ({kinds}); {reason_of(error)}") from error
