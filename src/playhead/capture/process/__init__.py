"""The process side of capture: starting the user's command, holding it, and knowing what its process tree does.

    linux      system calls Python has no name for          spawn    fork and exec by hand, standard streams
    terminal   the user's own terminal while we hold it     isolate  a network without a way out, for replay
    watch      every connect(2) of the child, by the kernel observe  the same by looking, where that is not allowed
    tree       who is who among the child's processes       rest     whether all of them have come to rest
    diag       what the kernel knows of a client's socket   quiet    waiting for rest on an event loop

Nothing here knows what is recorded or where.
"""
