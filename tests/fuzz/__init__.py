"""Damaged inputs of every format that is read: `make fuzz`, or `python -m fuzz.run --help`."""
