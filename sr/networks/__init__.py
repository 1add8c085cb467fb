"""Generators, one paper per file. Nothing here knows of options, files or devices."""
