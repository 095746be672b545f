"""A new project installs the Meristem that wrote it, wherever that came from."""

import json
from importlib import metadata

import pytest

from meristem.scaffold.own_requirement import own_requirement, own_version


@pytest.mark.parametrize(
    ("origin", "requirement"),
    [
        ({"url": "file:///home/ada/with%20space", "dir_info": {"editable": True}}, "/home/ada/with space"),
        ({"url": "file:///tmp/meristem-9.whl", "archive_info": {}}, "/tmp/meristem-9.whl"),
        ({"url": "https://host.example/m.whl", "archive_info": {}}, "meristem @ https://host.example/m.whl"),
        (
            {"url": "https://host.example/m.git", "vcs_info": {"vcs": "git", "commit_id": "5f0c"}},
            "meristem @ git+https://host.example/m.git@5f0c",
        ),
        (None, "meristem==9"),
    ],
)
def test_pip_is_told_where_it_came_from(tmp_path, monkeypatch, origin, requirement):
    installed = tmp_path / "meristem-9.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: meristem\nVersion: 9\n")
    if origin is not None:
        (installed / "direct_url.json").write_text(json.dumps(origin))
    monkeypatch.setattr(
        "meristem.scaffold.own_requirement.distribution", lambda _name: metadata.Distribution.at(installed)
    )

    assert own_requirement() == requirement
    assert own_version() == "9"
