"""A planned kernel command line, tried on the host's own kernel in a virtual machine before the host is rebooted."""
