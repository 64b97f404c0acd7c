"""Orders (RFC 8555, section 7.4).

`authorities` chooses the CA, by `turns`, and places the order; `order` takes it from the names to
the chain; `open_orders` remembers what the CA has not filled yet.
"""
