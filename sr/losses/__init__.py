"""Loss terms as pure functions, and the one place where they are weighted and summed."""
