"""Crash images: every state that a power cut may leave of a store, opened again and judged.

The real daemon is recorded while a client drives it: each write and flush, each new, renamed or
removed name, and between them what the client was told. From that a model of the disk makes what
could be there had the power gone at any moment: all that was flushed, any part of what was not.
"""
