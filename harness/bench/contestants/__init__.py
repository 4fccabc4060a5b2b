"""What the operator is compared with. Each is a program of its own, run afresh for each measurement."""
