"""A Docker engine of our own for tests: from Debian's packages, without a registry, in a folder that is kept between runs."""
