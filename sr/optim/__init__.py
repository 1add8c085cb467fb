"""Optimizers, learning-rate schedules, and the mean of weights."""
