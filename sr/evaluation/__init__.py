"""Scores of results against their originals."""
