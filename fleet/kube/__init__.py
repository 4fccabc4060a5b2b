"""Kubernetes at the edge: authentication and transport from a library, list + watch and status patches of our own."""
