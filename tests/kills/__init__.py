"""Real daemons under real clients: killed, stopped, cut off; judged by what the clients saw."""
