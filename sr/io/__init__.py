"""Files <-> arrays and tensors: the only place where images are converted."""
