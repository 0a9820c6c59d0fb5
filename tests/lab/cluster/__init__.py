"""A Kubernetes cluster of our own for tests: real components, built from modules and Debian's packages, without a registry."""
