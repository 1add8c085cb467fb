"""Rows of images in memory-mapped files, read from the disk."""

import mmap

import numpy as np

from sr.data.sources import Image


def prefetch_rows(rows: Image) -> None:
    """Ask the system to read the pages of some rows of an image at once, if a file is mapped there.

    rows: (h, W, 3), of all columns. Page by page, with what the system reads ahead of each, a crop
    of 96 px reads its whole image of 2000 px, 7.6 MB in 7 ms; like this 0.6 MB in 1 to 2 ms. Where
    the pages are in memory it takes 0.04 ms for nothing.
    """
    if not hasattr(mmap, "MADV_WILLNEED"):  # Windows
        return
    owner: object = rows
    first = None
    while isinstance(owner, np.ndarray):
        first, owner = owner, owner.base
    if not isinstance(owner, mmap.mmap) or first is None:
        return
    start = rows.__array_interface__["data"][0] - first.__array_interface__["data"][0]
    page = start - start % mmap.PAGESIZE
    owner.madvise(mmap.MADV_WILLNEED, page, start + len(rows) * rows.strides[0] - page)
