from __future__ import annotations

import pytest
import tomli

from pipeline_runner.config.explain import explain
from pipeline_runner.config.keys import every_key
from pipeline_runner.config.parse import parse
from pipeline_runner.errors import UsageError

KEYS = [".".join(path) for path in every_key()]


@pytest.mark.parametrize("key", KEYS)
def test_every_key_of_the_file_is_explained(key: str) -> None:
    text = explain(key)
    assert text.startswith(f"{key}\n")
    assert ("\nType:     " in text) == ("." in key)
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("key", [key for key in KEYS if "Example:" in explain(key)])
def test_every_example_is_toml_that_the_model_takes(key: str) -> None:
    example = explain(key).partition("Example:\n")[2].replace("NAME", "list")
    table = "\n".join(line.strip() for line in example.splitlines())
    assert tomli.loads(table)
    _, problems = parse(table, file="f", environ={})
    relevant = {"missing-key", "no-stages", "unknown-stage", "not-yet", "unknown-group"}
    assert [p for p in problems if p.code not in relevant | {"empty-group"}] == []


def test_a_key_is_found_by_its_last_words_and_under_the_user_s_own_names() -> None:
    assert explain("retry.attempts") == explain("stages.retry.attempts")
    assert explain("stages.decode.timeout") == explain("timeout") == explain("stages.timeout")
    assert explain("hosts.gpu.match") == explain("hosts.match")
    assert explain("[server]") == explain("server")


def test_a_setting_tells_type_default_meaning_and_example() -> None:
    assert explain("retry.attempts") == (
        "stages.retry.attempts\n"
        "How often an item is tried in all.\n"
        "\n"
        "Type:     a whole number (at least 1)\n"
        "Default:  3\n"
        "\n"
        "Example:\n"
        "  [stages.NAME]\n"
        '  retry = { attempts = 5, backoff = "1s", factor = 2, cap = "1m" }'
    )


def test_no_key_gives_the_whole_file() -> None:
    text = explain("")
    assert all(f"{header}  " in text for header in ("[pipeline]", "[stages.NAME]", "[[edges]]"))
    assert "max_memory" in text


def test_what_has_no_effect_yet_says_so() -> None:
    assert "No effect yet: this version has no page." in explain("server.web")


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("stages.proceses", "did you mean `stages.processes`?"),
        ("retry.atempts", "did you mean `stages.retry.attempts`?"),
        ("timout", "did you mean `stages.timeout`?"),
        ("xyzzy", "`runner explain` alone lists every key"),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest(key: str, hint: str) -> None:
    with pytest.raises(UsageError) as raised:
        explain(key)
    assert raised.value.hint == hint
