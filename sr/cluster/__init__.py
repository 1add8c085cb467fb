"""Runs of `infer.py` on many machines by Ray. Nothing else imports ray."""
