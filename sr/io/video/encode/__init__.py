"""Encoders: which, with what options, and the files that they write."""
