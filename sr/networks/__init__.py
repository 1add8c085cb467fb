"""Generators, one paper a file. Nothing here knows of options, files or devices."""
