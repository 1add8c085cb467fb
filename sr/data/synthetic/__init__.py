"""Synthetic HR images: what photographs lack (text, graphics, regular patterns, facades)."""
