"""Code changes, artifacts stay: unhashed fields, fields added later, and a version to bump."""

from __future__ import annotations

import huldra


class Tokenize(huldra.Huldra[str], cache_version="2"):
    """`cache_version` enters the hash: bump it when the meaning of `_create` changes."""

    text: str = "Hello"

    # How many processes work on it does not change the result, so it does not change the hash.
    workers: int = huldra.field(default=4, hashed=False)

    # Added after the first artifacts were made: with this value the hash is as it was before.
    lowercase: bool = huldra.field(default=False, absent=False)

    def _create(self) -> str:
        text = self.text.lower() if self.lowercase else self.text
        (self.huldra_dir / "tokens.txt").write_text(text)
        return text

    def _load(self) -> str:
        return (self.huldra_dir / "tokens.txt").read_text()


def main() -> None:
    """Compare the hashes of configs that differ in such fields."""
    base = Tokenize()
    lower = Tokenize(lowercase=True)
    print(f"other workers, same artifact:  {Tokenize(workers=16).huldra_dir == base.huldra_dir}")
    print(
        f"absent value, same artifact:   {Tokenize(lowercase=False).huldra_dir == base.huldra_dir}"
    )
    print(f"other value, another artifact: {lower.huldra_dir != base.huldra_dir}")
    print(lower.load_or_create())
