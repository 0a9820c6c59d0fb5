"""The jitter probe: how long, how often and by what a busy loop on one CPU is interrupted."""
