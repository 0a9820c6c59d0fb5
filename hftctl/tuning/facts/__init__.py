"""What a host is: read once, plain data, the only thing that plans are computed from."""
