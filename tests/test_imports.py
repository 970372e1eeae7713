"""Who may load what: the admin command and the rules do without the server, and start fast."""
import os
import subprocess
import sys
import time

import pytest

from tests.admin import COMMAND

NEVER = {"flask", "gunicorn", "requests", "gevent"}
IMPORT_ALL = """
import importlib, pkgutil, sys
package = importlib.import_module({package!r})
names = [module.name for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".")]
for name in names:
    importlib.import_module(name)
assert len(names) > 3, names
"""


def loaded(code):
    """The packages that a new process has loaded after this code."""
    code += "\nimport sys; print(*{name.partition('.')[0] for name in sys.modules})"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize("package", ["admin_cli", "proxy_gpt.rules"])
def test_the_admin_command_and_the_rules_load_no_server(package):
    packages = loaded(IMPORT_ALL.format(package=package))
    assert package.partition(".")[0] in packages and packages & NEVER == set()


def test_hashing_loads_no_server_either():
    packages = loaded("from proxy_gpt.rules import passwords; assert passwords.fits('a', passwords.digest('a'))")
    assert "werkzeug" in packages and packages & NEVER == set()


def test_under_gevent_work_that_takes_long_runs_in_a_real_thread():
    code = "from gevent import monkey; monkey.patch_all(); from threading import get_native_id as thread\n"
    code += "from proxy_gpt import offload; assert offload.run(thread) != thread()"
    assert "gevent" in loaded(code)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread has no priority of its own")
def test_such_work_steps_back_behind_the_loop_and_the_loop_stays_where_it_is():
    code = "from gevent import monkey; monkey.patch_all(); from threading import get_native_id as thread; import os\n"
    code += "def nice(): return os.getpriority(os.PRIO_PROCESS, thread())\n"
    code += "from proxy_gpt import offload; before = nice(); assert offload.run(nice) > before; assert offload.run(nice) > before == nice()"
    loaded(code)


def test_help_comes_fast(tmp_path):
    def seconds():
        begin = time.monotonic()
        subprocess.run([COMMAND, "--help"], cwd=tmp_path, env=os.environ, stdout=subprocess.DEVNULL, check=True)
        return time.monotonic() - begin

    assert min(seconds() for _ in range(5)) <= 0.5
