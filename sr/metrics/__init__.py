"""Full-reference image metrics: pure functions on tensors, on any device."""
