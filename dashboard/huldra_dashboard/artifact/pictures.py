"""A picture from bytes that anybody may have written: few formats, few pixels, no other program."""

from __future__ import annotations

import io
from typing import Any

# By content, whatever the file is called. Pillow knows many more, and hands some of them
# (PostScript) to programs that run what stands in the file.
FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP")
# Four bytes a pixel, and twice that while it is made smaller.
MOST_PIXELS = 25_000_000
_SHOWN = (1600, 1600)


class NoPictureError(ValueError):
    """The bytes are no picture of these formats, or one that is too large."""


def decode(content: bytes) -> Any:
    """The picture (a Pillow image) at a size for the screen, decoded here.

    Raises:
        NoPictureError: it cannot be shown; the message says why.
    """
    from PIL import Image, UnidentifiedImageError  # comes with Streamlit

    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
        _refuse_large(*image.size)
        image.thumbnail(_SHOWN)
        image.load()
    except NoPictureError:
        raise
    except UnidentifiedImageError as error:
        raise NoPictureError(f"not a {', '.join(FORMATS[:-1])} or {FORMATS[-1]}") from error
    except Exception as error:  # decoders raise errors of all kinds for broken files
        raise NoPictureError(str(error) or type(error).__name__) from error
    return image


def _refuse_large(width: int, height: int) -> None:
    """The size stands in the header: a file of a few bytes may claim any."""
    if width * height > MOST_PIXELS:
        raise NoPictureError(
            f"{width:,} × {height:,} pixels, at most {MOST_PIXELS:,} are shown; download it instead"
        )
