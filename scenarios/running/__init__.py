"""What the commands run and how that is told: chosen cases, the matrix of defects, sweeps, the demonstration."""
