"""Bugs kept as patches, and the runner that sees each of them caught."""
