"""Where the log and the delivery states are kept, behind one interface."""
