"""The settings: what each may be, and that a bad one stops the start with one sentence that names it and shows no secret."""
import ast
from pathlib import Path

import pytest

from proxy_gpt import config, setting_values
from proxy_gpt.errors import SettingError

REDIS = "redis://127.0.0.1:1"
NUMBERS = {
    "PORT": (1, 65535), "WEB_CONCURRENCY": (1, 512), "SESSION_DAYS": (1, 36500), "PASSWORD_MIN_LENGTH": (1, 1024),
    "UPSTREAM_TIMEOUT": (1, 86400), "CONNECT_TIMEOUT": (1, 600), "LOG_BODY_BYTES": (0, 1 << 20), "DRAIN_SECONDS": (0, 3600),
    "ANSWER_TIMEOUT": (1, 86400), "CLIENT_TIMEOUT": (1, 3600), "MAX_UPLOAD_MB": (1, 1 << 20),
    "SIGNUPS_PER_HOUR": (1, 1_000_000), "LOGIN_FAILURES": (1, 100_000), "LOGIN_FAILURES_ADDRESS": (1, 1_000_000), "STREAMS_PER_USER": (1, 10_000),
    "RESERVE_TOKENS": (1, 1_000_000),
}  # fmt: skip
NO_NUMBER = ("x", "1.5", "-1", "0x10", "1e3", "1_000", "²", "٣", "1 2", "9" * 5000)
BAD = {
    "API_KEY": ("sk-hidden key", "sk-hidden\nkey", "sk-hidden\x7f", "sk-hiddeñ"),
    "METRICS_TOKEN": ("hidden token", "hidden\ntoken", "hiddeñ"),
    "API_URL": (
        "api.openai.com", "ftp://h", "http://", "http:///v1", "http://:8080/v1", "http://h:0", "http://h:65536", "http://h:x", "http://[h",
        "http://h/a b", "http://h/\tv1", "http://h/ü", "http://alice:hidden@h/v1", "https//h",
    ),
    "DB_ADDRESS": (
        "proxy.db", "mysql://u:hidden@h/d", "sqlite://proxy.db", "sqlite:///", "sqlite:///:memory:", "postgresql://u:hidden@h:0/d",
        "postgresql://u:hidden@h:x/d", "postgresql://", "postgres://u:hidden@[h/d", "postgresql://u:hid den@h/d", "http://h",
    ),
    "DATABASE_URL": ("proxy.db", "mysql://u:hidden@h/d", "sqlite:///"),
    "REDIS_ADDRESS": (
        "127.0.0.1:6379", "http://h", "redis://", "redis://:hidden@h:0", "redis://:hidden@h:x", "redis://:hidden@h/x",
        "redis://[hidden",
    ),
    "REDIS_URL": ("127.0.0.1:6379", "http://h"),
    "ADDRESS": (
        "8080", "host", "host:", ":", ":0", ":65536", ":x", ":²", "::1:8080", "[::1:8080", "[::1]", "[zz]:8080", "a b:8080", "a/b:80",
        "http://h:80", "postgresql://u:hidden@h:5432", ":" + "9" * 5000,
    ),
    "REDIS_SKIP_VERIFY": ("maybe",),
    "ALLOW_ORGANIZATION": ("maybe", "2", "truee"),
    "ALLOW_CLIENT_SECRETS": ("maybe", "2"),
    "ALLOW_UNMETERED": ("vector_stores", "/vector_stores", "/v2/x", "/v1", "/v1/", "*", "/v1/*/x", "/v1/a**", "/v1/a b", "/v1/a,b", "http://h/v1/a", "/V1/a"),
    "INCLUDE_USAGE": ("maybe", "2"),
    "TRUSTED_PROXIES": ("x", "1.2.3", "10.0.0.0/33", "1.2.3.4, x", "**"),
    "REDIRECT_HOSTS": ("https://h", "h/x", "a b", "h:x", "a@h", "*"),
    "CORS_ORIGINS": ("*", "app.example", "https://app.example/", "https://app.example/x", "https://", "://h", "https://a b", "https://a@h", "https://h:x", "null"),
    "LOG_FORMAT": ("xml", "jsn", "text json"),
    "CAPTURE": ("all", "full none", "default"),
    "SIGNUP": ("yes", "closd", "open closed", "true", "invited"),
    "MODELS": ("gpt-4", "gpt-4=", "=gpt-4o", "gpt-3=a,,gpt-4=b"),
    **{name: (*NO_NUMBER, str(least - 1), str(most + 1)) for name, (least, most) in NUMBERS.items()},
}  # fmt: skip
GOOD = {
    "API_KEY": [("sk-x", {"api_key": "sk-x"}), ("  sk-x\t", {"api_key": "sk-x"}), ("", {"api_key": ""})],
    "METRICS_TOKEN": [("secret", {"metrics_token": "secret"}), ("", {"metrics_token": ""})],
    "API_URL": [(url, {"api_url": url}) for url in ("http://h", "http://h:90/v1", "https://[::1]:9/x?api-version=1")],
    "DB_ADDRESS": [
        ("postgresql://u:p@h/d", {"database": "postgresql://u:p@h/d"}), ("postgres://u:p@h:1/d", {"database": "postgresql://u:p@h:1/d"}),
        ("postgresql:///d", {"database": "postgresql:///d"}), ("sqlite:///a b.db", {"database": "a b.db"}), ("sqlite:////x/y", {"database": "/x/y"}),
    ],
    "DATABASE_URL": [("postgres://u:p@h/d", {"database": "postgresql://u:p@h/d"})],
    "REDIS_ADDRESS": [(url, {"redis": url}) for url in ("redis://h", "rediss://u:p@h:1/2?socket_timeout=3", "unix:///run/redis?db=1")],
    "REDIS_URL": [("redis://h", {"redis": "redis://h"})],
    "REDIS_SKIP_VERIFY": [("yes", {"redis": ""})],
    "ADDRESS": [
        ("127.0.0.1:80", {"host": "127.0.0.1", "port": 80}), (":81", {"host": "0.0.0.0", "port": 81}),
        ("[::1]:82", {"host": "[::1]", "port": 82}), ("some-host.example:83", {"host": "some-host.example", "port": 83}),
    ],
    "ALLOW_ORGANIZATION": [("TRUE", {"allow_organization": True}), ("off", {"allow_organization": False})],
    "ALLOW_CLIENT_SECRETS": [("yes", {"allow_client_secrets": True}), ("", {"allow_client_secrets": False})],
    "ALLOW_UNMETERED": [
        ("/v1/vector_stores*, /v1/Videos/edits,", {"allow_unmetered": ("/v1/vector_stores*", "/v1/Videos/edits")}),
        ("/v1/*", {"allow_unmetered": ("/v1/*",)}), ("", {"allow_unmetered": ()}),
    ],
    "TRUSTED_PROXIES": [("*", {"trusted_proxies": ("*",)}), ("10.0.0.0/8, ::1", {"trusted_proxies": ("10.0.0.0/8", "::1")})],
    "REDIRECT_HOSTS": [("A.example, b:8443,[::1]:80", {"redirect_hosts": frozenset(("a.example", "b:8443", "[::1]:80"))})],
    "CORS_ORIGINS": [
        ("https://App.example, http://localhost:3000", {"cors_origins": frozenset(("https://app.example", "http://localhost:3000"))}),
        ("http://[::1]:80", {"cors_origins": frozenset(("http://[::1]:80",))}),
    ],
    "LOG_FORMAT": [("JSON", {"log_format": "json"}), ("none", {"log_format": "none"}), ("", {"log_format": "text"})],
    "CAPTURE": [("Metadata", {"capture": "metadata"}), ("none", {"capture": "none"}), ("", {"capture": "full"})],
    "SIGNUP": [("CLOSED", {"signup": "closed"}), ("", {"signup": "local"}), *[(mode, {"signup": mode}) for mode in ("local", "invite", "open")]],
    "MODELS": [("a=b, c = d", {"models": (("a", "b"), ("c", "d"))})],
    "JOURNAL_DIR": [("/a b", {"journal_dir": "/a b"})],
    "INCLUDE_USAGE": [("on", {"include_usage": True}), ("", {"include_usage": False})],
    "PRICES": [("/a b", {"prices": "/a b"})],  # what is in the file is looked at later, see test_prices
    **{name: [(str(edge), {}) for edge in edges] for name, edges in NUMBERS.items()},
}  # fmt: skip


def load(**environ):
    """The settings from this environment alone."""
    return config.load(environ, folder="/nonexistent")


def refusal(**environ):
    """The sentence with which this environment is refused."""
    with pytest.raises(SettingError) as caught:
        load(**environ)
    return one_sentence(str(caught.value))


def one_sentence(text):
    """The text, if it is one line with a full stop, without a traceback, and without what the tests call `hidden`."""
    assert text.endswith(".") and "\n" not in text and "Traceback" not in text and "hidden" not in text
    assert len(text) < 500
    return text


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_a_bad_value_is_refused_in_a_sentence_that_names_the_setting(name, value):
    more = {"REDIS_ADDRESS": REDIS} if name == "WEB_CONCURRENCY" else {}
    assert name in refusal(**{name: value}, **more)


@pytest.mark.parametrize(("name", "value", "wanted"), [(name, *case) for name, cases in GOOD.items() for case in cases])
def test_a_good_value_is_taken(name, value, wanted):
    more = {"REDIS_ADDRESS": REDIS} if name == "WEB_CONCURRENCY" else {}
    settings = load(**{name: value}, **more)
    wanted = wanted or {"workers" if name == "WEB_CONCURRENCY" else name.lower(): int(value)}
    assert {key: getattr(settings, key) for key in wanted} == wanted


def test_no_setting_is_forgotten_here():
    assert setting_names() == set(BAD) | set(GOOD)


def setting_names():
    """The names of all settings that the code knows: what is written in capitals there."""
    trees = [ast.parse(Path(module.__file__).read_text()) for module in (config, setting_values)]
    texts = {node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return {text for text in texts if text.replace("_", "").isalpha() and text.isupper() and len(text) > 3}


@pytest.mark.parametrize(("first", "second", "one", "other", "read"), [
    ("DB_ADDRESS", "DATABASE_URL", "sqlite:///a", "sqlite:///b", lambda settings: f"sqlite:///{settings.database}"),
    ("REDIS_ADDRESS", "REDIS_URL", "redis://a", "redis://b", lambda settings: settings.redis),
    ("ADDRESS", "PORT", ":81", "82", lambda settings: f":{settings.port}" if settings.port == 81 else str(settings.port)),
])  # fmt: skip
def test_the_second_name_counts_only_where_the_first_is_unset(first, second, one, other, read):
    assert read(load(**{first: one, second: other})) == one
    assert read(load(**{second: other})) == other
    assert read(load(**{first: " ", second: other})) == other


@pytest.mark.parametrize(("address", "used"), [
    ("rediss://h", "rediss://h?ssl_cert_reqs=none"), ("rediss://h/1?timeout=1", "rediss://h/1?timeout=1&ssl_cert_reqs=none"), ("redis://h", "redis://h"),
])  # fmt: skip
def test_redis_may_have_any_certificate_if_told_so(address, used):
    assert load(REDIS_URL=address, REDIS_SKIP_VERIFY="1").redis == used


@pytest.mark.parametrize("count", ["2", "512"])
def test_more_workers_without_redis_are_refused_naming_both_settings(count):
    sentence = refusal(WEB_CONCURRENCY=count)
    assert "WEB_CONCURRENCY" in sentence and "REDIS_ADDRESS" in sentence
    assert load(WEB_CONCURRENCY=count, REDIS_URL=REDIS).workers == int(count)


def test_the_workers_are_one_without_redis_and_one_a_core_with_it(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 6)
    assert (load().workers, load(REDIS_ADDRESS=REDIS).workers) == (1, 6)


def test_the_env_file_counts_where_the_environment_says_nothing(tmp_path):
    lines = ("# ours", "export API_KEY='sk#1'", "PORT=81", "SESSION_DAYS = 7 # a week", "", 'REDIRECT_HOSTS="a.example"', "")
    (tmp_path / ".env").write_text("\n".join(lines))
    settings = config.load({"PORT": "82"}, tmp_path)
    assert (settings.api_key, settings.port, settings.session_days) == ("sk#1", 82, 7)
    assert settings.redirect_hosts == {"a.example"}


def test_the_env_file_may_begin_as_windows_editors_like_it(tmp_path):
    (tmp_path / ".env").write_bytes("\ufeffPORT=81\r\nSESSION_DAYS=7\r\n".encode())
    settings = config.load({}, tmp_path)
    assert (settings.port, settings.session_days) == (81, 7)


def test_an_env_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / ".env").write_bytes(b"API_KEY=\xff\n")
    with pytest.raises(SettingError) as caught:
        config.load({}, tmp_path)
    assert ".env" in one_sentence(str(caught.value))


NEARLY = {  # names that nearly are a setting, by the setting
    "SIGNUP": ("SINGUP", "SIGNUPS", "SIGNOP", "ISGNUP", "SIGNPU", "XSIGNUP", "signup", "Signup", "singup", "SIGN-UP"),
    "DB_ADDRESS": ("DB_ADRESS", "DB_ADDRES", "DBADDRESS", "DB_ADDRESSS"), "DATABASE_URL": ("DATABASE_URI",), "REDIS_URL": ("REDIS_URLS",),
    "WEB_CONCURRENCY": ("WEB_CONCURENCY",), "PORT": ("port", "Port"), "API_KEY": ("API_KEYS", "APIKEY"), "PASSWORD_MIN_LENGTH": ("PASSWORD_MIN_LENGHT",),
}  # fmt: skip
OTHERS = ("PATH", "HOST", "PAGE", "PORTS", "PRT", "PROT", "SIGNU", "MODEL", "SIGNUPPP", "SIGGNUPP", "PUNGIS", "OPENAI_API_KEY", "LOGIN", "Ω", "SIGNUP_X")


def written(folder, *lines):
    """The folder, with these lines in its file .env."""
    (folder / ".env").write_text("\n".join(lines))
    return folder


@pytest.mark.parametrize(("name", "setting"), [(name, setting) for setting, names in NEARLY.items() for name in names])
def test_a_name_in_the_file_that_nearly_is_a_setting_is_refused_and_one_in_the_environment_is_told(tmp_path, name, setting):
    with pytest.raises(SettingError) as caught:
        config.load({}, written(tmp_path, f"{name}=hidden"))
    sentence = one_sentence(str(caught.value))
    assert repr(name) in sentence and setting in sentence.replace(repr(name), "") and ".env" in sentence
    (hint,) = load(**{name: "hidden"}).hints
    assert repr(name) in one_sentence(hint) and setting in hint.replace(repr(name), "") and ".env" not in hint


@pytest.mark.parametrize("name", OTHERS)
def test_other_names_are_ignored(tmp_path, name):
    assert config.load({}, written(tmp_path, f"{name}=x")) == load() == load(**{name: "x"})


def test_no_setting_is_nearly_another_one(tmp_path):
    values = {name: GOOD[name][0][0] for name in setting_names()} | {"REDIS_ADDRESS": REDIS}
    assert load(**values).hints == ()
    assert config.load({}, written(tmp_path, *(f"{name}='{value}'" for name, value in values.items()))).hints == ()


def test_the_names_that_are_compared_are_those_that_are_read():
    for more in ({}, {"ADDRESS": ":81", "DB_ADDRESS": "sqlite:///a", "REDIS_ADDRESS": REDIS}):
        hints = load(**more, **{f"{name}X": "1" for name in setting_names() - {"PORT"}}, port="1").hints
        assert len(hints) == len(setting_names())


@pytest.mark.parametrize("value", ["", " ", "\t"])
def test_a_blank_value_in_the_environment_is_none_at_all(tmp_path, value):
    folder = written(tmp_path, "SIGNUP=closed", "PORT=81", "DATABASE_URL=sqlite:///a", "WEB_CONCURRENCY=3", f"REDIS_URL={REDIS}")
    settings = config.load(dict.fromkeys(("SIGNUP", "PORT", "DATABASE_URL", "DB_ADDRESS", "WEB_CONCURRENCY", "REDIS_URL"), value), folder)
    assert (settings.signup, settings.port, settings.database, settings.workers) == ("closed", 81, "a", 3)


def test_who_asks_for_one_setting_is_told_of_its_names_alone(tmp_path):
    folder = written(tmp_path, "SINGUP=hidden", "PASSWORD_MIN_LENGHT=12", "REDIS_SKIP_VERFY=true", "PRICE_S=hidden")
    assert config.load_database({}, folder) == "proxy.db"
    for ask, name in ((config.load_password_min_length, "PASSWORD_MIN_LENGHT"), (config.load_redis, "REDIS_SKIP_VERFY"), (config.load_prices, "PRICE_S")):
        with pytest.raises(SettingError) as caught:
            ask({}, folder)
        assert name in one_sentence(str(caught.value))
    with pytest.raises(SettingError, match="DB_ADRESS"):
        config.load_database({}, written(tmp_path, "DB_ADRESS=hidden"))
    assert config.load_database({"DB_ADRESS": "hidden"}, "/nonexistent") == "proxy.db"


def test_a_misspelt_name_is_told_before_what_follows_from_it(tmp_path):
    folder = written(tmp_path, f"REDIS_ADRESS={REDIS}", "WEB_CONCURRENCY=2", "SINGUP=hidden", "Signup=hidden", "PORT=x")
    settings, faults = config.survey({"SIGNUP": "maybe"}, folder)
    assert settings.workers == 1
    assert [name for name, _ in faults] == ["REDIS_ADDRESS", "SIGNUP", "SIGNUP", "PORT", "WEB_CONCURRENCY", "SIGNUP"]
    with pytest.raises(SettingError, match="REDIS_ADRESS"):
        config.load({}, folder)


def test_secrets_do_not_show_when_settings_are_printed():
    settings = load(API_KEY="sk-hidden", DB_ADDRESS="postgresql://u:hidden@h/d", REDIS_ADDRESS="redis://:hidden@h", METRICS_TOKEN="hidden")
    assert "hidden" not in repr(settings) and "api_url" in repr(settings)
