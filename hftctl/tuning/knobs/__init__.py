"""The knobs, each on a page: what it turns, how it shall be for a value of a host profile, and what this host offers."""
