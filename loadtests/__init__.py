"""Whole brokers under load: the demo, the load scenarios, the measured promises."""
