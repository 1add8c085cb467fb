"""A page in the browser, and an HTTP API, over the engine of `infer.py`; nothing imports it."""
