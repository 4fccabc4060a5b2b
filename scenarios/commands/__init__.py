"""The commands of `fleetproof`, a file each. `ends` says how they end when they do not come to their verdict."""
