"""What the outside sees of a mail domain, asked as a sender would ask it."""
