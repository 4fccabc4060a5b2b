"""Container runtimes: what the agent needs of one, and podman."""
