"""The command line: one file a command. stdout is the answer, stderr is talk."""
