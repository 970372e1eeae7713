"""requirements.txt pins what setup.cfg asks for, with hashes; nothing else is in it, and nothing is asked for that is not used."""
import ast
import configparser
import os
import re
import shutil
import subprocess
import sys
import venv
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import requests
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.canary import KEY
from tests.server import Server, sign_up

CHECKOUT = Path(__file__).parent.parent
OURSELVES = "proxy-gpt (setup.cfg)"
ENTRY = re.compile(r"^(?P<pin>[a-z0-9].*?) \\\n(?P<hashes>(?:    --hash=.*\n)+)(?P<via>(?:    #.*\n)+)", re.MULTILINE)
LOCK = (CHECKOUT / "requirements.txt").read_text()
BROUGHT = {"gevent": "gunicorn", "wsproto": "simple-websocket"}  # imported too, and asked for by these, which need it as we do


class Pinned:
    """An entry of requirements.txt."""

    def __init__(self, found):
        self.requirement = Requirement(found["pin"])
        self.name = canonicalize_name(self.requirement.name)
        (self.pin,) = self.requirement.specifier
        self.hashes = re.findall(r"--hash=(\S+)", found["hashes"])
        self.via = set(re.sub(r"# via\b|#", "", found["via"]).strip().splitlines())
        self.via = {name.strip() for name in self.via if name.strip()}


PINNED = {pinned.name: pinned for pinned in map(Pinned, ENTRY.finditer(LOCK))}


def asked_for():
    """The install_requires of setup.cfg, by name."""
    parser = configparser.ConfigParser()
    parser.read(CHECKOUT / "setup.cfg")
    lines = [line for line in parser["options"]["install_requires"].splitlines() if line and not line.startswith("#")]
    return {canonicalize_name(requirement.name): requirement for requirement in map(Requirement, lines)}


def imported():
    """The top-level packages that the product's code imports and that are neither its own nor Python's."""
    found = set()
    for path in [*CHECKOUT.glob("proxy_gpt/**/*.py"), *CHECKOUT.glob("admin_cli/**/*.py"), CHECKOUT / "gunicorn.conf.py"]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found.update(name.name.partition(".")[0] for name in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                found.add(node.module.partition(".")[0])
    return found - sys.stdlib_module_names - {"proxy_gpt", "admin_cli"}


def test_each_dependency_is_pinned_to_a_version_in_its_range():
    wanted = asked_for()
    assert len(wanted) > 8
    assert {name for name in wanted if name not in PINNED} == set()
    assert {name: PINNED[name].pin.version for name in wanted if PINNED[name].pin.version not in wanted[name].specifier} == {}


def test_each_line_is_a_pin_with_a_hash_or_a_comment():
    rest = ENTRY.sub("", LOCK)
    assert [line for line in rest.splitlines() if line and not line.startswith("#")] == []
    for pinned in PINNED.values():
        assert pinned.pin.operator == "==" and "*" not in pinned.pin.version
        assert pinned.hashes and all(re.fullmatch(r"sha256:[0-9a-f]{64}", text) for text in pinned.hashes), pinned.name


def test_nothing_is_pinned_that_we_do_not_need():
    reached = {name for name, pinned in PINNED.items() if OURSELVES in pinned.via}
    assert reached == set(asked_for())
    while more := {name for name, pinned in PINNED.items() if pinned.via & reached} - reached:
        reached |= more
    assert set(PINNED) - reached == set()


def test_the_pins_name_no_address_and_no_folder():
    assert re.findall(r"https?:|file:|^ *--(?!hash)\S+|/\w+/", LOCK, re.MULTILINE) == []


def test_every_dependency_is_imported_and_every_import_is_a_dependency():
    owners = {module: {canonicalize_name(name) for name in names} for module, names in packages_distributions().items()}
    used = {BROUGHT.get(module) or next(iter(owners[module])) for module in imported()}
    assert used == set(asked_for())


@pytest.mark.long  # it asks the package index for all of them
def test_a_copy_of_the_checkout_runs_with_nothing_installed_but_the_pins(tmp_path, upstream):
    venv.create(tmp_path / "venv", with_pip=True)
    bin_folder, copy = tmp_path / "venv" / "bin", tmp_path / "checkout"
    for name in ("proxy_gpt", "admin_cli"):
        shutil.copytree(CHECKOUT / name, copy / name)
    for name in ("gunicorn.conf.py", "Procfile", "requirements.txt"):
        shutil.copy(CHECKOUT / name, copy / name)
    subprocess.run([bin_folder / "pip", "install", "-q", "--require-hashes", "-r", "requirements.txt"], cwd=copy, check=True, timeout=600)
    line = (copy / "Procfile").read_text().removeprefix("web: ").strip()
    path = {"PATH": f"{bin_folder}:{os.environ['PATH']}"}
    server = Server(tmp_path, command=["sh", "-c", f"exec {line}"], cwd=copy, API_KEY=KEY, API_URL=upstream.url,
                    DB_ADDRESS=f"sqlite:///{copy / 'proxy.db'}", **path)  # fmt: skip
    server.start()
    try:
        token = sign_up(server, "Alice", "pw").token
        answer = requests.get(f"{server.url}/v1/models", headers={"Authorization": f"Bearer {token}"}, timeout=10)
        assert answer.status_code == 200
    finally:
        server.stop()
    done = subprocess.run([bin_folder / "python", "-m", "admin_cli.main", "list"], cwd=copy, capture_output=True, text=True, timeout=30)
    assert (done.returncode, "Alice" in done.stdout) == (0, True), done
