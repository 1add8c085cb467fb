"""OpenEXR, through FFmpeg in PyAV: linear light becomes values encoded as sRGB's."""

from typing import Any

import numpy as np

from sr.io.coded_sizes import read_exr_header
from sr.io.decoded_image import CodedFile, DecodedImage
from sr.io.light_curve import encode_linear


def decode_exr(file: CodedFile) -> DecodedImage:
    """Decode linear float, and encode it. Raises ImageError, ValueError and what FFmpeg does."""
    import av

    from sr.io.video.ffmpeg_log import capture_log

    header = read_exr_header(file.content)
    file.choose_frames(header.height, header.width, 1)
    context = av.CodecContext.create("exr", "r")
    assert isinstance(context, av.VideoCodecContext)
    context.thread_count = 1  # what it prints belongs to this thread
    faults: list[str] = []
    with capture_log(faults, av.logging.ERROR):
        frames = [*context.decode(av.Packet(file.content)), *context.decode(None)]
    if faults:  # what cannot be decoded stays black
        raise ValueError(faults[0])
    frame = frames[0]
    num_planes = len(frame.planes)
    if not frame.format.name.endswith("f32le"):
        frame = frame.reformat(
            format={1: "grayf32le", 3: "gbrpf32le"}.get(num_planes, "gbrapf32le")
        )
    planes = []
    for plane in frame.planes:
        memory: Any = plane
        rows = np.frombuffer(memory, np.float32).reshape(-1, plane.line_size // 4)
        planes.append(rows[: frame.height, : frame.width])
    if num_planes >= 3:
        green, blue, red, *alpha = planes
        planes = [red, green, blue, *alpha]
    pixels, notes = encode_linear(np.dstack(planes), file.name, file.above_white)
    if header.has_colors:
        notes.append("colors are taken for those of BT.709; what the file says of them is not read")
    return DecodedImage(pixels, notes=notes)
