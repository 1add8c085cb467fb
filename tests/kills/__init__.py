"""Programs killed at random moments: nothing finished is lost, and the next run leaves no litter.

`make kills` or `python -m kills --kills 200`; see docs/contributing.md. Programs are forked from
a process that has imported everything, so that a kill takes about a second.
"""
