"""The whole idea at work in a minute: real lines, poison, kills, and an audited account."""
