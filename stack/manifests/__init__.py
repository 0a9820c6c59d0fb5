"""The stack on Kubernetes: kustomize folders that `kubectl apply -k` takes, and what they render to. No code."""
