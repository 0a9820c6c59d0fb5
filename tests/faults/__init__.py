"""Faults against a real stack, and the checker that decides whether anything was lost."""
