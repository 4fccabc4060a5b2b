"""The agent's core on a model of podman, under virtual time: what happens is dealt by a seed."""
