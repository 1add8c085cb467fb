"""Mux the final file: the encoded video next to the streams that its source has."""
