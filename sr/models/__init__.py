"""Model files of any origin: read, detected, described and converted."""
