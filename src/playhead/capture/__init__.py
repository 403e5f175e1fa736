"""How requests reach the tape: the wire engine, the process side, and the hooks that the child loads."""
