"""The lab's Pulumi program: stack `lab` of the project in lab/Pulumi.yaml."""

from lab.stack import deploy

deploy()
