"""Copy what a container says of 360 degree and stereoscopic video to the result's stream.

PyAV sets no such data of a stream, but a bitstream filter that changes nothing copies all of a
stream's parameters; so the result's codec must be the source's.
"""

import av.codec
from av.bitstream import BitStreamFilterContext
from av.video.stream import VideoStream

from sr.io.video.frame import VideoInfo

_ENCODERS = {"h264": "libx264", "hevc": "libx265", "av1": "libsvtav1", "vp9": "libvpx-vp9"}
_OF_THE_RESULT = ("extradata", "width", "height", "pix_fmt", "codec_tag", "profile", "level")


def can_copy_spatial(info: VideoInfo, encoder: str) -> bool:
    """Return whether all of `VideoInfo.spatial` can be copied to what `encoder` writes."""
    if not (info.spatial and info.is_spatial_copyable):
        return False
    return av.codec.Codec(encoder, "w").canonical_name == info.codec


def choose_copying_encoder(info: VideoInfo) -> str | None:
    """Return an encoder whose results can take over `VideoInfo.spatial`; None if there is none."""
    encoder = _ENCODERS.get(info.codec)
    return encoder if encoder is not None and can_copy_spatial(info, encoder) else None


def copy_side_data(source: VideoStream, result: VideoStream) -> None:
    """Give `result`, of the same codec, the side data of `source`; its own codec stays as it is.

    Colors, aspect ratio and rate are the source's then.
    """
    context = result.codec_context
    own = {name: getattr(context, name) for name in _OF_THE_RESULT}
    BitStreamFilterContext("null", source, result)
    for name, value in own.items():
        if value is not None:
            setattr(context, name, value)
