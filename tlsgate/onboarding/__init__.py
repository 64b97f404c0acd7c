"""From a new partner to an enforced one: the proposed record, the letter, and the evidence."""
