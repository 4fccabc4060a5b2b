"""A simulated world around the operator's pure core: seeds drive it, a judge watches every write (see `world`)."""
