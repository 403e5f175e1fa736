"""The composition root: puts launcher, engine, tape and command together for each kind of run."""
