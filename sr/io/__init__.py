"""Files <-> arrays and tensors: the only place where pictures are converted."""
