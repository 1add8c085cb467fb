"""Full-reference picture metrics: pure functions on tensors, on any device."""
