"""The command lines: parse, call, tell; no logic."""
