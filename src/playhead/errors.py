"""The errors Playhead raises on purpose.

    PlayheadError
    |- UsageError            the call cannot be meant as written                     exit 2
    |- SetupError            this machine or store cannot do it as it stands         exit 2
    |- SessionNotFound       no such recording, or several; lists candidates         exit 3
    |- DamagedRecording      the bytes of a recording are not what was written       exit 3
    |- IncompatibleRecording foreign, or written by a newer Playhead                 exit 3
    |- NothingCaptured       a run ended without one captured call                   exit 4
    |- LiveCallBlocked       a replay tried to leave the tape                        exit 4
    |- Diverged              a replay was not the recording                          exit 1
    `- InternalError         a fault of Playhead itself                              exit 5

Each carries a stable `code` (a heading of docs/reference/errors.md) and speaks in four beats: what happened, where,
what was expected and seen, what to do next.
"""

from __future__ import annotations


class PlayheadError(Exception):
    """Base of all errors Playhead raises on purpose. `exit_code` is what a command ends with."""

    exit_code = 5

    def __init__(
        self, what: str, *, code: str, where: str = "", expected: str = "", seen: str = "", todo: str = ""
    ) -> None:
        self.what, self.code, self.where, self.expected, self.seen, self.todo = what, code, where, expected, seen, todo
        super().__init__(what)

    def __str__(self) -> str:
        lines = [self.what]
        if self.where:
            lines.append(f"  where:    {self.where}")
        if self.expected:
            lines.append(f"  expected: {self.expected}")
        if self.seen:
            lines.append(f"  seen:     {self.seen}")
        if self.todo:
            lines.append(f"  next:     {self.todo}")
        return "\n".join(lines)


class UsageError(PlayheadError):
    """The call cannot be meant as written."""

    exit_code = 2


class SetupError(PlayheadError):
    """This machine, store or certificate cannot do it as it stands."""

    exit_code = 2


class SessionNotFound(PlayheadError):
    """No recording under this address, or more than one."""

    exit_code = 3


class DamagedRecording(PlayheadError):
    """The bytes of a recording are not what was written."""

    exit_code = 3


class IncompatibleRecording(PlayheadError):
    """A file that is no recording, or one of a format this Playhead does not read."""

    exit_code = 3


class NothingCaptured(PlayheadError):
    """A run ended without one captured call."""

    exit_code = 4


class LiveCallBlocked(PlayheadError):
    """A replay tried to leave the tape."""

    exit_code = 4


class Diverged(PlayheadError):
    """A replay was not the recording."""

    exit_code = 1


class InternalError(PlayheadError):
    """A fault of Playhead itself."""

    exit_code = 5
