"""The program: its loop, its commands, and what it says of itself.

`loop` looks at every certificate again and again, `assembly` puts the parts together, `operator`
leaves what a person asks for, `status` says how every certificate is (also for the health check).
"""
