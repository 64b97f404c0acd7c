"""From a new partner to an enforced one: what is proposed, told to the partner, and proved."""
