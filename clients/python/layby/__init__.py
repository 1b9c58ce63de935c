"""layby: the client library."""
