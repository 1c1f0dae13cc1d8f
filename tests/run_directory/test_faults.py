"""A fault at any operation on files: the same command afterwards leaves the same bytes."""

import pytest
from fault_trials import operations, stored, trial
from faulty_files import KINDS

# One in so many operations is disturbed here; `make soak` disturbs each.
SAMPLED = 41


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What an undisturbed sweep leaves, the count of its operations, and those that write."""
    path = tmp_path_factory.mktemp("faults") / "run"
    return *operations(path), stored(path)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_command_after_a_fault_leaves_the_same_bytes(whole, tmp_path, kind):
    count, writes, expected = whole
    places = writes if kind in ("torn", "short") else range(count)
    step = max(1, len(places) // 6)
    for place in places[KINDS.index(kind) % step :: step]:
        assert trial(tmp_path / "run", kind, place, expected) == "", f"{kind} at {place}"
