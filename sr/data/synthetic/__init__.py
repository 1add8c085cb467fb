"""Synthetic HR images of what is rare in photos: text, graphics, regular patterns, facades."""
