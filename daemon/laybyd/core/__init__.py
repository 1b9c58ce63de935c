"""The broker's rules, pure: no I/O, no clock, no chance, no threads, no logging."""
