"""The stack on a Kubernetes cluster. Nothing outside this folder knows the client library."""
