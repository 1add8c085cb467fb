"""Upscaling image and video files: options, tasks, and the run over them."""
