"""Upscaling: tiles, the upscaler over them, and the engine that runs it over files."""
