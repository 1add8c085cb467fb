"""Samples of frames as arrays and RGB tensors, and back."""
