"""Pure types of Playhead. Standard library only: this room also runs inside the user's agent."""
