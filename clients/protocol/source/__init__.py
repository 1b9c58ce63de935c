"""Where the vectors and the examples of PROTOCOL.md come from: `clients.protocol.source`."""
