"""A network over tensors of any size, tile by tile: no files, no options."""
