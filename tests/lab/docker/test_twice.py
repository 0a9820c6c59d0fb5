"""The same source is the same image: built once more from nothing, every file of it is as before."""

import pytest

from hftctl.targets.compose import building
from tests.lab.docker.contents import manifest, saved
from tests.lab.docker.images import CANARY, trusted


@pytest.mark.long
def test_the_same_source_makes_the_same_files_twice(lab, tmp_path):
    first = manifest(lab.engine, lab.built.reference)
    wanted = building.Wanted(lab.wanted, no_cache=True, **trusted(tmp_path))
    again = building.build(wanted, begun=lambda reference: None)
    assert again.built
    second = manifest(lab.engine, again.reference)
    differ = {
        name: (first.get(name), second.get(name)) for name in {*first, *second} if first.get(name) != second.get(name)
    }
    assert differ == {}
    assert len(first) > 5000
    # Nothing of this build came from a cache, so its steps had what they were trusted with.
    assert saved(lab.engine, again.reference, [CANARY.encode()]) == set()
