"""tlsgate: mail to and from listed partners only over authenticated TLS."""
