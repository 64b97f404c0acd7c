"""`make bench`: the numbers that the project promises, each measured by a module."""
