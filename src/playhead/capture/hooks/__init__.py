"""What runs inside the child: a site hook for every Python and a preload for every Node. No code of Playhead imports it."""
