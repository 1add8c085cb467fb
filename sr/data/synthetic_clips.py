"""Synthetic clips from photos: a camera that pans, zooms and rotates, and sometimes objects that
move in front, and bend as they do.

Few freely licensed clips are uncompressed; downscaled photos have as much detail as film. What they
do not have: people who walk, water, shadows.

Each frame is a window of a photo, resampled at twice its size and then halved. Otherwise frames
would differ in sharpness, by the fraction of a pixel that they are moved.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sr.data.sources import Image
from sr.io.image_formats import ImageError
from sr.io.rgb8 import read_rgb8

_VERSION = b"1"  # raise it with any change of the frames, so that cached flow is not used
_OVERSAMPLING = 2
_ZOOMS = (0.985, 1.015)  # of one frame to the next
_TURN = 0.6  # most degrees per frame
_OBJECT_SIZE = (0.2, 0.5)  # its radius, of the frame's height
_NUM_WAVES = 3  # that bend an object
_WAVE_LENGTH = (0.3, 1.0)  # of the frame's height
_FASTEST_WAVE = 2 * np.pi / 8  # radians per frame

Transform = NDArray[np.float64]
Values = NDArray[Any]


@dataclass(frozen=True)
class MovingPhoto:
    """One clip of a photo, which depends on the name of its file and `number` only.

    size: (height, width) of the frames. speed: most pixels per frame. others: photos that objects
    in the foreground are cut from. object_share: of clips with objects; most_objects: in one of
    those. bend: how far an object's points sway, in pixels.
    """

    path: Path
    number: int
    num_frames: int
    size: tuple[int, int]
    speed: float
    others: tuple[Path, ...] = field(repr=False)
    object_share: float = 0.3
    most_objects: int = 1
    bend: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.path}, moving, number {self.number}"

    @property
    def identity(self) -> str:
        digest = hashlib.sha256(_VERSION)
        for path in (self.path, *self.others):
            status = path.stat()
            digest.update(f"{path}/{status.st_size}/{status.st_mtime_ns}\n".encode())
        return f"{self!r} {digest.hexdigest()}"

    def read(self) -> list[Image]:
        """Make the frames, (height, width, 3), uint8 RGB. Raises ImageError."""
        rng = np.random.default_rng([self.number, *self.path.name.encode()])
        photo = _shrink(_read_photo(self.path), rng, self.size)
        frames = self._move(photo, self._draw_path(photo.shape[:2], rng))
        for _ in range(self._draw_num_objects(rng)):
            frames = self._cover(frames, rng)
        return [_halve(frame) for frame in frames]

    def _draw_num_objects(self, rng: np.random.Generator) -> int:
        if rng.random() >= self.object_share:
            return 0
        return 1 if self.most_objects == 1 else int(rng.integers(1, self.most_objects + 1))

    def _cover(self, frames: list[Values], rng: np.random.Generator) -> list[Values]:
        """Draw an object that moves in front of oversampled frames."""
        photo = _read_photo(self.others[int(rng.integers(len(self.others)))])
        photo = _shrink(photo, rng, self.size)
        transforms = self._draw_path(photo.shape[:2], rng)
        mask = self._draw_blob(photo.shape[:2], transforms, rng)
        fields = self._draw_bending(rng) if self.bend else None
        fronts, masks = (self._move(each, transforms, fields) for each in (photo, mask))
        return [_blend(*each) for each in zip(fronts, frames, masks, strict=True)]

    def _draw_path(self, shape: tuple[int, ...], rng: np.random.Generator) -> list[Transform]:
        """Draw the transforms from oversampled frames to the photo, one per frame, (2, 3)."""
        height, width = (_OVERSAMPLING * side for side in self.size)
        velocity = _draw_vector(rng) * self.speed * _OVERSAMPLING
        change = _draw_vector(rng) * 0.1 * self.speed * _OVERSAMPLING  # of the velocity, per frame
        zoom = rng.uniform(*_ZOOMS)
        turn = np.deg2rad(rng.uniform(-_TURN, _TURN))
        middle = (self.num_frames - 1) / 2
        places = []
        for t in np.arange(self.num_frames) - middle:
            moved = t * velocity + 0.5 * t * abs(t) * change / max(middle, 1)
            linear = zoom**t * _make_rotation(turn * t)
            places.append((linear, moved))
        # The center of the middle frame, with room for all frames if possible.
        center = np.array(
            [
                rng.uniform(width / 2, max(shape[1] - width / 2, width / 2)),
                rng.uniform(height / 2, max(shape[0] - height / 2, height / 2)),
            ]
        )
        offset = np.array([width / 2, height / 2])
        return [
            np.column_stack([linear, center + moved - linear @ offset]) for linear, moved in places
        ]

    def _move(
        self, photo: Values, transforms: list[Transform], fields: list[Values] | None = None
    ) -> list[Values]:
        """Return what the camera sees, oversampled; the photo is mirrored at its borders.

        fields: by how much each frame's pixels are displaced, (height, width, 2), x and y.
        """
        height, width = (_OVERSAMPLING * side for side in self.size)
        border = cv2.BORDER_REFLECT_101
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        frames = []
        for index, transform in enumerate(transforms):
            if fields is None:
                frame = cv2.warpAffine(
                    photo, transform, (width, height), flags=flags, borderMode=border
                )
            else:
                places = cv2.transform(_grid(height, width) + fields[index], transform)
                frame = cv2.remap(
                    photo, places[..., 0], places[..., 1], cv2.INTER_CUBIC, borderMode=border
                )
            frames.append(np.asarray(frame, photo.dtype).reshape(height, width, -1))
        return frames

    def _draw_bending(self, rng: np.random.Generator) -> list[NDArray[np.float32]]:
        """Draw waves that go through an object: displacements as in `_move`, one per frame."""
        height, width = (_OVERSAMPLING * side for side in self.size)
        grid = _grid(height, width)
        fields = [np.zeros_like(grid) for _ in range(self.num_frames)]
        for _ in range(_NUM_WAVES):
            sway = _draw_vector(rng) * self.bend * _OVERSAMPLING
            angle = rng.uniform(0, 2 * np.pi)
            length = rng.uniform(*_WAVE_LENGTH) * height
            along = grid @ np.array([np.cos(angle), np.sin(angle)], np.float32)
            along *= 2 * np.pi / length
            start, step = rng.uniform(0, 2 * np.pi), rng.uniform(-1, 1) * _FASTEST_WAVE
            for t, field_of_frame in enumerate(fields):
                wave = np.sin(along + np.float32(start + step * t))
                field_of_frame += wave[..., None] * sway.astype(np.float32)
        return fields

    def _draw_blob(
        self, shape: tuple[int, ...], transforms: list[Transform], rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Draw the mask of a round object with a wavy outline, within the middle frame's window:
        (rows, columns), 1 inside, 0 outside.
        """
        height, width = (_OVERSAMPLING * side for side in self.size)
        seen = np.array([rng.uniform(0.2, 0.8) * width, rng.uniform(0.2, 0.8) * height, 1.0])
        x, y = transforms[self.num_frames // 2] @ seen
        angles = np.linspace(0, 2 * np.pi, 64, endpoint=False)
        radius = rng.uniform(*_OBJECT_SIZE) * height
        waves = sum(
            rng.uniform(0, 0.15) * np.cos(count * angles + rng.uniform(0, 2 * np.pi))
            for count in (2, 3, 5)
        )
        outline = np.column_stack(
            [x + radius * (1 + waves) * np.cos(angles), y + radius * (1 + waves) * np.sin(angles)]
        )
        mask = np.zeros(shape, np.float32)
        cv2.fillPoly(mask, [outline.round().astype(np.int32)], 1.0)
        return np.asarray(cv2.GaussianBlur(mask, (0, 0), _OVERSAMPLING / 2), np.float32)


def _read_photo(path: Path) -> Image:
    photo = read_rgb8(path, convert=True)
    height, width, _ = photo.shape
    if min(height, width) < 2:  # OpenCV would never finish mirroring it
        raise ImageError(
            f"{path}: expected a photo of at least 2x2 pixels, got {width}x{height} "
            "(width x height)"
        )
    return photo


def _shrink(photo: Image, rng: np.random.Generator, size: tuple[int, int]) -> Image:
    """Downscale to a random size, from just large enough to the photo's own."""
    least = max(_OVERSAMPLING * side / own for side, own in zip(size, photo.shape[:2], strict=True))
    factor = rng.uniform(min(least, 1.0), 1.0)
    if factor >= 1:
        return photo
    new = (round(photo.shape[1] * factor), round(photo.shape[0] * factor))
    return np.asarray(cv2.resize(photo, new, interpolation=cv2.INTER_AREA), np.uint8)


def _grid(height: int, width: int) -> NDArray[np.float32]:
    """Return each pixel's place, (height, width, 2), x and y."""
    return np.stack(
        np.meshgrid(*(np.arange(side, dtype=np.float32) for side in (width, height))), -1
    )


def _halve(frame: Values) -> Image:
    size = (frame.shape[1] // _OVERSAMPLING, frame.shape[0] // _OVERSAMPLING)
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)


def _blend(front: Values, back: Values, mask: Values) -> Image:
    """Blend by a mask (rows, columns, 1), about 0 to 1, which overshoots by resampling."""
    share = np.clip(mask, 0, 1).astype(np.float32)
    return np.asarray((front * share + back * (1 - share)).round(), np.uint8)


def _draw_vector(rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw a vector in a random direction, of length 0 to 1, both uniform."""
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([np.cos(angle), np.sin(angle)]) * rng.uniform(0, 1)


def _make_rotation(angle: float) -> NDArray[np.float64]:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine], [sine, cosine]])
