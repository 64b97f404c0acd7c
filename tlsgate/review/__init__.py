"""The report for reviewers of a partner change: `tlsgate partners diff`."""
