"""Image and video super-resolution: train from option files, upscale from the command line."""
