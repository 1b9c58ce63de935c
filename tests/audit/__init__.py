"""One judge of what layby promises, whatever tests it. A model that shares no code with it."""
