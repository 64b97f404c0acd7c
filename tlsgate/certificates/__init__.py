"""X.509 certificates of servers: what they say, which names match, which roots are trusted."""
