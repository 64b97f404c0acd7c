"""What is only for machines that cannot reach the vendors' downloads.

Each part takes the place of one download: the base image is made of Debian's packages, the Pulumi
CLI is built from source, and a process of ours stands in for Pulumi's Docker plugin.
"""
