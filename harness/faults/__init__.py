"""The fault library: one small file each. A fault that cannot be proved active makes a run inconclusive."""
