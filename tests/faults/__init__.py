"""Every nth call fails: one write, flush, open, rename, map or allocation of the real daemon.

For n = 1, 2, 3 ... the nth call of a class fails once, while a client works; then the store is
started again and judged against what the client was told, until a run ends without the fault
having come. A full disk is refused and lived with, everything else ends the daemon with the exit
code that says so; nothing is ever lost, invented, or left hanging.
"""
