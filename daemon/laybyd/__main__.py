"""`python -m laybyd`, the same as the command `laybyd`."""

from laybyd.cli import main

main()
