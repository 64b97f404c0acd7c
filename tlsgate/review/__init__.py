"""What a reviewer of a partner change is shown: the report of `tlsgate partners diff`."""
