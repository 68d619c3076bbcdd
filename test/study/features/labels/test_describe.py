"""Names by a vision model: what is sent, what is kept, and that nothing goes out unasked."""

from __future__ import annotations

import argparse
import base64
import io
import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from planted_features import CARRYING, CLOSED, HELD_OUT, NOISE, collect_planted, planted_bundle

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.study.features.labels import label
from vla_sae_ros.study.features.labels.proposals import PROPOSALS_FILE, read_proposals
from vla_sae_ros.study.features.labels.vision_endpoint import KEY_VARIABLE, EndpointError

Content = list[dict[str, Any]]
MIDDLE = range(7, 14)
"""Inferences of the planted episodes in which the gripper is closed, whenever it closed."""


def run(*arguments: str | Path) -> int:
    parser = argparse.ArgumentParser()
    label.add_arguments(parser)
    return label.run(parser.parse_args([*map(str, arguments)]))


class StandIn:
    """A vision model's endpoint: `model` gets a question's content and returns the answer."""

    def __init__(self, model: Callable[[Content], str]) -> None:
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.status = 200
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.requests.append(body | {"path": self.path})
                outer.headers.append(dict(self.headers))
                told = model(body["messages"][0]["content"])
                answer = {"choices": [{"message": {"content": told}}], "usage": {"total_tokens": 7}}
                data = json.dumps(answer if outer.status == 200 else {"error": "busy"}).encode()
                self.send_response(outer.status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def texts(self) -> str:
        return json.dumps([one["messages"] for one in self.requests])


def inference_of(part: dict[str, Any]) -> int:
    """The planted pictures are as bright as their inference is late."""
    data = base64.b64decode(part["image_url"]["url"].partition("base64,")[2])
    return round(Image.open(io.BytesIO(data)).convert("L").getpixel((0, 0)) / 10)  # type: ignore[operator]


def sees(content: Content) -> str:
    """A model that knows the middle of an episode when it sees it."""
    pictures = [inference_of(part) for part in content if part["type"] == "image_url"]
    if "named" not in content[0]["text"]:
        return 'Sure: {"name": "middle  of the episode", "description": "The hand is closed."}'
    return json.dumps({"active": [n for n, one in enumerate(pictures, 1) if one in MIDDLE]})


def blind(content: Content) -> str:
    """A model that calls every picture active."""
    if "named" not in content[0]["text"]:
        return '{"name": "anything", "description": ""}'
    return json.dumps({"active": list(range(1, 11))})


def odd_characters(content: Content) -> str:
    """A model whose words hold ends of lines that are none in JSON, and half of a character."""
    return "One\u2028two\x85three \ud83d: " + sees(content)


def riddles(_: Content) -> str:
    return "I would rather not say."


@pytest.fixture
def endpoint(request: pytest.FixtureRequest) -> Iterator[StandIn]:
    server = StandIn(getattr(request, "param", sees))
    yield server
    server.close()


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return planted_bundle(tmp_path / "bundle")


@pytest.fixture(scope="module")
def activations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return collect_planted(tmp_path_factory.mktemp("planted") / "activations", frames=True)


def proposals(bundle: Path) -> list[Any]:
    return read_proposals(bundle, SaeBundle.load(bundle).bundle_id)


def test_a_model_that_sees_what_a_feature_means_is_right_on_episodes_it_was_not_shown(
    bundle: Path, activations: Path, endpoint: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = ["--features", str(CLOSED), "--describe", endpoint.url, "--model", "m", "--yes"]
    assert run(bundle, activations, *labels) == 0
    (one,) = proposals(bundle)
    assert (one.feature, one.name, one.model) == (CLOSED, "middle of the episode", "m")
    assert one.right > 7, "when it closes and opens differs from episode to episode"
    assert len(one.fires) == 10 and sum(one.fires) == 5
    assert {episode for episode, _ in one.tested} <= set(HELD_OUT)
    assert not {episode for episode, _ in (*one.shown, *one.contrast)} & set(HELD_OUT)
    assert len(one.answers) == 2 and one.answers[0].startswith("Sure:") and one.tokens == 14
    assert f"{CLOSED}: middle of the episode ({one.right} of 10" in capsys.readouterr().out
    assert [request["path"] for request in endpoint.requests] == ["/v1/chat/completions"] * 2
    entry = SaeBundle.load(bundle).catalogue.get(CLOSED)
    assert entry is not None and entry.label_source == "evidence", "a proposal is no label"


@pytest.mark.parametrize("endpoint", [blind], indirect=True)
def test_a_model_that_does_not_see_is_as_right_as_chance(
    bundle: Path, activations: Path, endpoint: StandIn
) -> None:
    run(bundle, activations, "--features", str(CLOSED), "--describe", endpoint.url, "--yes")
    assert [one.right for one in proposals(bundle)] == [5]


def test_neither_a_plan_nor_a_no_sends_anything(
    bundle: Path,
    activations: Path,
    endpoint: StandIn,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("builtins.input", lambda question: "no")
    for more in (["--plan", "--yes"], []):
        run(bundle, activations, "--features", str(CLOSED), "--describe", endpoint.url, *more)
        said = capsys.readouterr().out
        assert re.search(r"1 features, 2 questions with 22 pictures \(.* about [\d,]+ tokens", said)
        assert "Nothing was sent." in said
    assert not endpoint.requests and not (bundle / PROPOSALS_FILE).exists()


def test_what_was_answered_is_kept_and_not_asked_again(
    bundle: Path, activations: Path, endpoint: StandIn
) -> None:
    asking = ["--describe", endpoint.url, "--yes", "--features", str(CLOSED)]
    run(bundle, activations, *asking)
    endpoint.status = 503
    with pytest.raises(EndpointError, match=r"HTTP 503: .*busy.* run the same command again"):
        run(bundle, activations, *asking, str(CARRYING))
    endpoint.status, before = 200, len(endpoint.requests)
    run(bundle, activations, *asking, str(CARRYING))
    assert len(endpoint.requests) == before + 2, "only the one that is missing"
    assert [one.feature for one in proposals(bundle)] == [CLOSED, CARRYING]


@pytest.mark.parametrize("endpoint", [riddles], indirect=True)
def test_an_answer_that_names_nothing_is_kept_and_said(
    bundle: Path, activations: Path, endpoint: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    run(bundle, activations, "--features", str(CLOSED), "--describe", endpoint.url, "--yes")
    (one,) = proposals(bundle)
    assert (one.name, one.right, one.answers) == ("", None, ("I would rather not say.",))
    assert f"of features [{CLOSED}]" in capsys.readouterr().out


@pytest.mark.parametrize("endpoint", [odd_characters], indirect=True)
def test_whatever_characters_a_model_answers_with_the_file_can_be_read_again(
    bundle: Path, activations: Path, endpoint: StandIn
) -> None:
    run(bundle, activations, "--features", str(CLOSED), "--describe", endpoint.url, "--yes")
    (one,) = proposals(bundle)
    assert one.answers[0].startswith("One\u2028two\x85three \ud83d: Sure") and one.right


def test_a_feature_that_never_falls_silent_gets_a_name_without_a_test(
    bundle: Path, activations: Path, endpoint: StandIn
) -> None:
    run(bundle, activations, "--features", str(NOISE), "--describe", endpoint.url, "--yes")
    (one,) = proposals(bundle)
    assert (one.score, one.tested) == ("not tested", ()) and len(endpoint.requests) == 1


def test_without_features_those_without_a_label_are_asked_about(
    bundle: Path, activations: Path, endpoint: StandIn
) -> None:
    run(bundle, activations, "--describe", endpoint.url, "--yes")
    catalogue = SaeBundle.load(bundle).catalogue
    asked = [one.feature for one in proposals(bundle)]
    assert asked[0] == NOISE and not any(
        entry.label for feature in asked if (entry := catalogue.get(feature))
    )


def test_the_key_comes_from_the_environment_and_is_written_nowhere(
    bundle: Path, activations: Path, endpoint: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "s3cret")
    run(bundle, activations, "--features", str(CLOSED), "--describe", endpoint.url, "--yes")
    assert {one["Authorization"] for one in endpoint.headers} == {"Bearer s3cret"}
    assert "s3cret" not in (bundle / PROPOSALS_FILE).read_text() + endpoint.texts()


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://host/v1", "https://me:key@host/v1", ""])
def test_a_wrong_address_is_refused_at_the_door(bundle: Path, activations: Path, url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"--describe: got .* http://HOST:PORT/v1"):
        run(bundle, activations, "--describe", url, "--yes")


def test_a_file_cut_by_a_crash_loses_its_last_line_only(
    bundle: Path, activations: Path, endpoint: StandIn
) -> None:
    run(bundle, activations, "--features", str(CLOSED), "--describe", endpoint.url, "--yes")
    path = bundle / PROPOSALS_FILE
    path.write_bytes(path.read_bytes() + b'{"bundle_id": "')
    assert [one.feature for one in proposals(bundle)] == [CLOSED]
    run(bundle, activations, "--features", str(CARRYING), "--describe", endpoint.url, "--yes")
    assert [one.feature for one in proposals(bundle)] == [CLOSED, CARRYING]
    path.write_text("nonsense\n")
    with pytest.raises(ConfigurationError, match=r"Line 1 of .*proposals.jsonl"):
        proposals(bundle)
