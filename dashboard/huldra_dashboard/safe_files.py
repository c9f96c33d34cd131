"""Files of an artifact for the pages and the API: only through the catalog's one door."""

from __future__ import annotations

from huldra.catalog.safe_open import OutsideError, open_inside, read_inside

__all__ = ["OutsideError", "open_inside", "read_inside"]
