"""Wall clocks that are set, machines that stand still."""
