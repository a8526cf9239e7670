"""Image files as people see them: of the kinds that data sets have, and upright."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from vireid.files import reason_of

FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP")
"""What is decoded, whatever a file is called: a PostScript file would go to Ghostscript. Phones' MPO begins as JPEG."""

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
"""By EXIF's orientation. (Pillow's `exif_transpose` writes the other tags anew, and stumbles over damaged ones.)"""


def open_picture(path: Path | str) -> Image.Image:
    """A decoded image, turned as its EXIF says.

    Raises:
        ValueError: it is of another kind, or damaged; the cause has the reason alone.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            image.load()  # before the EXIF is asked: TIFF files turn themselves meanwhile
            turn = TURNS.get(image.getexif().get(ORIENTATION, 1))
            return image if turn is None else image.transpose(turn)
    # What Pillow's decoders raise on damaged files, by format and kind of damage.
    except (OSError, SyntaxError, ValueError, IndexError, EOFError, Image.DecompressionBombError) as error:
        kinds = ", ".join(FORMATS)
        raise ValueError(f"open_picture: {path} must be a whole image ({kinds}); {reason_of(error)}") from error
