"""Whether two requests are the same: canonical forms, masks, fingerprints, and reports of what differs."""
