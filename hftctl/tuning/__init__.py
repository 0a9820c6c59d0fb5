"""The host: what it is, what it should be, and how it gets there and back."""
