"""Days of traffic, crashes and stalls in seconds, from one seed, judged by a model of its own."""
