"""Host profiles: for whom each is, what it gives up, and a reason beside each value."""
