"""Options: every setting of a run, checked before anything is touched."""
