"""The kernel's command line, in the files of whichever boot loader hands it over."""
