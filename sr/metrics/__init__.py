"""Image metrics, with a reference but for NIQE: pure functions on tensors, on any device."""
