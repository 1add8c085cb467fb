"""Encode a result's frames: codecs and their options, pixel formats, segments."""
