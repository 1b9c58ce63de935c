"""The pace: takes turns between the core, the writers and the front-end."""
