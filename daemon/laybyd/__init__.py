"""layby: the broker."""

__version__ = "0.1.0"
