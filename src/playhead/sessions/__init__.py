"""The read model: what a recording says, as sessions, lanes, exchanges and steps."""
