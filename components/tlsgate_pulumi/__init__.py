"""What Pulumi deploys: the components of a gateway and their dynamic providers."""
