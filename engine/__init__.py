"""The matching engine: a deterministic state machine from journal records to events.

It does no I/O, reads no clock and draws no random number: sequence and time arrive with each command, so a replay of the
journal gives the same bytes every time. `create()` picks the compiled implementation, or the plain-Python one that is
also its specification.
"""
