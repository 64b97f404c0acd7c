"""The state volume: where its files are."""
