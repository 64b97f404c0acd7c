"""The partner list: one YAML record a partner, read strictly, as frozen values."""
