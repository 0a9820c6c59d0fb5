"""How processes of the stack talk to each other: frames over a stream, the order as everybody shows it."""
