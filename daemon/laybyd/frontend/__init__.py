"""The ROUTER socket."""
