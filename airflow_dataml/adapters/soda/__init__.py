"""Soda: the quality engine that runs the real soda-core on a connection of ours."""
