"""Camera raw, developed by LibRaw through rawpy, of the extra `raw`."""

import io

from sr.io.decoded_image import CodedFile, DecodedImage
from sr.io.image_formats import EXPECTED, ImageError

_SRGB_CURVE = (2.4, 12.92)  # power and slope of its linear part, IEC 61966-2-1


def decode_raw(file: CodedFile) -> DecodedImage:
    """Develop a file into 16 bits of sRGB, upright, with the white balance of the camera.

    Nothing is made brighter or sharper. Raises ImageError, and ValueError for damage.
    """
    try:
        import rawpy
    except ImportError as error:
        raise ImageError(
            f"{file.name}: {EXPECTED}, got camera raw; develop it first, into a 16-bit TIFF for"
            " example, or install the extra `raw` (pip install 'sr[raw]'), which does so"
        ) from error
    try:
        with rawpy.imread(io.BytesIO(file.content)) as opened:
            file.choose_frames(opened.sizes.height, opened.sizes.width, 1)
            pixels = opened.postprocess(
                use_camera_wb=True,
                no_auto_bright=True,
                output_bps=16,
                output_color=rawpy.ColorSpace.sRGB,
                gamma=_SRGB_CURVE,
            )
    except rawpy.LibRawError as error:
        raise ValueError(str(error)) from error
    notes = ["camera raw is developed with the camera's white balance; its metadata are not read"]
    return DecodedImage(pixels, notes=notes)
