"""Which agent this is: the version that its file was built with, or that of the installed package."""

from importlib import metadata


def agent_version() -> str:
    # The agent file carries the metadata of a package with its own version, and comes first on the path.
    return metadata.version("fleetproof")
