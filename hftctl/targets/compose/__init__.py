"""Docker as a target: containers from one Compose file, planned, replaced and taken back by hftctl."""
