"""Ray's tests speak to clusters that they start themselves, with a token of their own."""

from __future__ import annotations

import os
import secrets

# A head listens on this host's address, so it must not take orders from everybody; and the user's
# own token, which Ray would take from the home folder, is none of our business. Set where the
# folder is collected: Ray reads both once a process, when it starts.
os.environ["RAY_AUTH_MODE"] = "token"
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
