"""The rule for missing parts of the system."""

from __future__ import annotations

import pytest

from tests.support import parts


def test_a_missing_part_is_a_skip_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without HULDRA_TEST_REQUIRE a missing part skips the test and says what is missing."""
    monkeypatch.delenv("HULDRA_TEST_REQUIRE", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no program 'x'"):
        parts.give_up("slurm", "no program 'x'")


def test_a_missing_part_that_is_required_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where HULDRA_TEST_REQUIRE lists the part, its absence fails the test."""
    monkeypatch.setenv("HULDRA_TEST_REQUIRE", "chromium, slurm")
    with pytest.raises(pytest.fail.Exception, match="slurm is required"):
        parts.give_up("slurm", "no program 'x'")


def test_an_unknown_required_part_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A typing error in HULDRA_TEST_REQUIRE does not silently require nothing."""
    monkeypatch.setenv("HULDRA_TEST_REQUIRE", "slrum")
    with pytest.raises(pytest.UsageError, match="slrum"):
        parts.is_required("slurm")


def test_a_program_is_looked_for_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """`missing` names the program that is not there."""
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(parts, "_SYSTEM_PATH", "/nonexistent")
    assert "slurmctld" in (parts.missing("slurm") or "")
