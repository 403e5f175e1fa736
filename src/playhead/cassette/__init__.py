"""Cassettes: one sealed, redacted, portable file of one session, in two forms of one format."""
