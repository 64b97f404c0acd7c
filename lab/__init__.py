"""A small Internet for the demo and the tests: real servers on one Docker network (DESIGN D13)."""
