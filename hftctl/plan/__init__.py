"""Plans: the pure difference between what is wanted and what is there, and the one way to apply it."""
