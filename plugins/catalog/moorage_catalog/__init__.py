"""The catalog policy: what is found by search has no list."""
