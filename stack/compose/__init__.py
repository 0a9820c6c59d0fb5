"""The Compose file, and the settings that plain `docker compose` gives its containers."""
