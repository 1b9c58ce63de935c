"""What is on disks and in programs out there: stores and clients of every released version."""
