"""The wheel of Meristem has all templates, as they are in the source."""

import subprocess
import sys
import zipfile
from pathlib import Path

from meristem.scaffold.skeleton import SUFFIX, TEMPLATES

ROOT = Path(__file__).parents[3]


def test_the_wheel_has_every_template(tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

    [wheel] = tmp_path.glob("meristem-*.whl")
    with zipfile.ZipFile(wheel) as packed:
        inside = {name.partition("scaffold/templates/")[2]: packed.read(name) for name in packed.namelist()}
    source = {path.relative_to(TEMPLATES).as_posix(): path.read_bytes() for path in TEMPLATES.rglob(f"*{SUFFIX}")}
    assert source
    assert source.items() <= inside.items()
