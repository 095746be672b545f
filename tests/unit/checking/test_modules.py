"""What files there are, and those that can't be read."""

from pathlib import Path

import pytest

from meristem.errors import ConfigurationError

from .conftest import BAZAAR, Checking, written


def test_odd_files_are_read_or_left_out(checking: Checking, tmp_path: Path):
    orders = tmp_path / "bazaar/orders"
    written(tmp_path, BAZAAR | {"bazaar/orders/1st-step/a b.py": "x = 1\n", "bazaar/orders/empty.py": ""})
    (orders / "latin.py").write_bytes("# -*- coding: latin-1 -*-\nA = 'é'\n".encode("latin-1"))
    (orders / "marked.py").write_bytes(b"\xef\xbb\xbfA = 1\n")
    (orders / "loop").symlink_to(tmp_path / "bazaar")
    (orders / ".#lock.py").symlink_to(tmp_path / "nowhere.py")

    assert checking({}) == []


def test_a_link_to_nowhere_is_named(checking: Checking, tmp_path: Path):
    written(tmp_path, BAZAAR)
    (tmp_path / "bazaar/orders/gone.py").symlink_to(tmp_path / "nowhere.py")

    with pytest.raises(ConfigurationError, match="gone.py"):
        checking({})


@pytest.mark.parametrize(
    "text", ["def (:\n", "x = 1\0\n", f"x = {'+'.join('1' * 5000)}\n", f"x = {'+'.join('1' * 700)}\n"]
)
def test_a_file_that_cannot_be_read_is_named(text: str, checking: Checking):
    with pytest.raises(ConfigurationError, match="wrong.py"):
        checking({"bazaar/orders/wrong.py": text})


def test_names_that_lead_in_a_circle_lead_nowhere(checking: Checking):
    files = {
        "bazaar/common/one.py": "from bazaar.common.two import X\nclass A(B):\n    pass\nclass B(A):\n    pass\n",
        "bazaar/common/two.py": "from bazaar.common.one import X\n",
        "bazaar/orders/more.py": "from bazaar.common.one import X, A\nX.append(1)\nA().x = 1\n",
    }

    assert checking(files) == []
