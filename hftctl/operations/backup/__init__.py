"""Backups: the journal, what it was written under, and how to bring it up again. Everything else is rebuilt from these."""
