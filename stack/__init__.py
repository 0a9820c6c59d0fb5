"""The services of the stack. Empty, so that data files are found without importing a service."""
