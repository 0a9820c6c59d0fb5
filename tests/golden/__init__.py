"""What commands show for fixed data, kept as files: a change of a screen is seen in review."""
