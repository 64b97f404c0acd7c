"""The change of a certificate's key, step by step with its TLSA records (RFC 7671, section 8.1).

`state_machine` decides each step and has no effects; `roller` takes the steps; `tlsa_records`
publishes keys in DNS; `saved` keeps the state.
"""
