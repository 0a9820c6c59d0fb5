"""The peer: order entry as a FastAPI service that writes each order to PostgreSQL and Redis before it answers.

`app.py` is the service, `servers.py` brings it up with the same programs as a deployment of ours: PostgreSQL and Valkey from
the same wheels, with the same settings, and the same nginx in front.
"""
