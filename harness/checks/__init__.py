"""Checks: pure functions of a history. Each has a name that defects refer to, and says where it looked."""
