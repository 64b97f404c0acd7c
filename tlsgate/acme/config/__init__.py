"""agent.json: what is wanted of which certificate, and which CAs may issue it."""
