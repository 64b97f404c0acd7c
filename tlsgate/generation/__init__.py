"""Configuration generations: built and checked by a job, put in force by a watcher (decision D4).

Runs inside the gateway's and the policy host's images: the standard library only.
"""
