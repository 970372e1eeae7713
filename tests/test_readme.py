"""The README says what is true: settings, endpoints, commands and files are those that the code has."""
import re
import shlex
from pathlib import Path

import pytest

from admin_cli.main import main
from proxy_gpt import config
from tests import described
from tests.test_settings import setting_names

CHECKOUT = Path(__file__).parent.parent
README = (CHECKOUT / "README.md").read_text()
ENDPOINT = re.compile(
    r"(?:(?<![\w.])|(?<=localhost:8080))/"
    r"(?:(?:user|chat|team|v1|docs)/[\w/*]+|openapi\.json|docs\b|healthz\b|readyz\b|metrics\b|usage(?![\w.]))"
)


def section(title):
    """The text of the section with this title."""
    assert f"\n## {title}\n" in README
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def rows(title):
    """The cells of each row of the first table in a section."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


DEFAULTS = {cells[0].strip("`"): cells[2] for cells in rows("Settings")}
SHOWN = {name: value[0].strip("`") for name, default in DEFAULTS.items() if (value := re.match(r"`[^`]+`|\d+|false", default))}


def test_every_setting_of_the_code_is_in_the_table_and_every_one_of_the_table_is_in_the_code():
    assert set(DEFAULTS) == setting_names()


def test_most_settings_have_a_default_to_compare():
    assert len(SHOWN) >= 14 and set(DEFAULTS) - set(SHOWN) <= {
        "API_KEY", "DATABASE_URL", "REDIS_ADDRESS", "REDIS_URL", "PORT", "REDIRECT_HOSTS", "CORS_ORIGINS", "METRICS_TOKEN", "PRICES",
        "ALLOW_UNMETERED",
    }  # fmt: skip


@pytest.mark.parametrize("name", SHOWN)
def test_the_default_in_the_table_is_the_one_of_the_code(name):
    value = f"sqlite:///{SHOWN[name]}" if name == "DB_ADDRESS" else SHOWN[name]
    assert config.load({name: value}, "/nonexistent") == config.load({}, "/nonexistent")


def routes():
    """The paths of the application's endpoints, as the README writes them."""
    return {re.sub(r"<[^>]+>", "*", rule.rule) for rule in described.application().url_map.iter_rules()}


def test_the_application_has_routes_to_compare():
    assert {"/v1/*", "/user/signup"} <= routes() and len(routes()) > 8


def test_every_endpoint_is_in_the_readme():
    assert routes() - set(ENDPOINT.findall(README)) == set()


def test_every_endpoint_of_the_readme_is_there():
    named = {path for path in ENDPOINT.findall(README) if not path.startswith("/v1/")}
    assert {path for path in named if path not in routes()} == set()


def test_every_admin_command_is_in_the_readme_and_every_one_of_the_readme_is_there():
    named = set(re.findall(r"^proxy-admin (?:--\S+ \S+ )?([a-z][a-z-]*)", README, re.MULTILINE))
    assert named == set(main.commands)


def test_the_examples_of_admin_commands_have_options_that_exist():
    for line in re.findall(r"^proxy-admin .*", README, re.MULTILINE):
        words = shlex.split(line, comments=True)
        command = next(main.commands[word] for word in words[1:] if word in main.commands)
        command = command.commands[words[words.index(command.name) + 1]] if hasattr(command, "commands") else command
        known = {option for parameter in (*command.params, *main.params) for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, line


def test_the_test_command_is_what_ci_runs():
    commands = [block for block in re.findall(r"```sh\n(.*?)\n```", README, re.DOTALL) if "pytest" in block]
    assert len(commands) == 1
    assert (CHECKOUT / ".ci" / "run").read_text().splitlines()[-1] == commands[0]


def test_the_files_on_the_way_of_a_request_exist():
    for _, files, _ in rows("The way of a request"):
        paths = re.findall(r"`([^`]+)`", files)
        assert paths
        for path in paths:
            assert (CHECKOUT / path).exists() or (CHECKOUT / "proxy_gpt" / path).exists(), path
