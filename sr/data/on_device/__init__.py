"""The degradations of whole batches in torch, on the device that trains."""
