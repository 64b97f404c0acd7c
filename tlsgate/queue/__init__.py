"""Held mail: combines Postfix's queue, its log and the partner list.

Everything here is pure; `tlsgate.commands.queue` reads the gateway.
"""
