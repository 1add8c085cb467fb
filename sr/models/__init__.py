"""Model files of any origin: detected, loaded, described and converted."""
