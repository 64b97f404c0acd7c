"""The state volume: where its files are, and how they are read."""
