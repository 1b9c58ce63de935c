"""Bytes on the wire <-> values of the core."""
