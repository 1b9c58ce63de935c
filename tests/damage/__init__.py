"""Bytes on the disk that are not what was written: named, refused, never served."""
