"""`make bench`: the numbers that the project promises, each measured anew by its own module."""
