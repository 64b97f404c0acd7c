"""A stand-in for Pulumi's Docker plugin, for machines that cannot fetch the real one.

It serves the tokens and property names of pulumi-docker's Python SDK over the provider protocol,
on docker-py against a real engine. It implements four resources (Network, Volume, RemoteImage,
Container) and of each what `properties.py` lists; everything else is refused by name. Where the
real plugin behaves surprisingly (a changed health check is only recorded, `rm` containers
are not removed), the stand-in does the same: a program that works here works there.
"""

OVERRIDE_VARIABLE = "TLSGATE_DOCKER_PLUGIN"
