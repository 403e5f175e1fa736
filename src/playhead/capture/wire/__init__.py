"""The wire: HTTP capture for any language, through one local port.

    engine -> arrival -> conversation | relay | tunnel      a client's connection, from accept to what it turns out to be
                              |  the tape (core.tape)
    upstream -> ask -> dial                                 the world's side, which only a recorder is given

`line` is one socket, `framing` and `hello` read bytes, `authority` makes clients trust the engine, `rules` say where a
target is really reached.
"""
