"""Pictures for tests: real ones, drawn when they are needed."""

import io

from PIL import Image


def photo(form: str = "JPEG", size: tuple[int, int] = (40, 30), gps: bool = False, rotated: bool = False) -> bytes:
    """A picture in this form; with `gps` its EXIF says where it was taken, `rotated`: that the camera was held upright."""
    exif = Image.Exif()
    if gps:
        exif[0x0110] = "Camera of Zhang San"
        exif.get_ifd(0x8825)[2] = (31.0, 51.0, 40.3)  # GPSLatitude
    if rotated:
        exif[0x0112] = 6
    packed = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert("RGB").save(packed, form, exif=exif)
    return packed.getvalue()
