"""Mail that waits: what Postfix's queue, its log and the partner list say of it, joined.

Everything here is pure; `tlsgate.commands.queue` reads the gateway.
"""
