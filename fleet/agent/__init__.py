"""The device half: desired state from the bucket in, podman containers rolled forward, what became of them out."""
