"""The command line: one short file per command that parses, calls one operation and renders what it returned."""
