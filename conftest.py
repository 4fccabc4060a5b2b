"""Names the plugin, nothing else."""

pytest_plugins = ["scenarios.plugin"]
