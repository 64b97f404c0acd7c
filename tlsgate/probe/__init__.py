"""What the mail servers of a domain offer (`tlsgate probe`), and what the gateway would do with
mail to it now (`tlsgate check`).
"""
