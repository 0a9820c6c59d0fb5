"""What we want, from YAML: strict, layered, every value with the file and line it came from."""
