"""Models on the Hub: the real huggingface_hub against a stand-in for the server."""

import hashlib
import importlib.util
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from foundation.hub import redact

TOKEN = "hf_" + "NeverShowThisTokenToAnyone123456"
COMMIT = "1" * 40
WEIGHTS = save({"w": np.ones(1000)})
FILES = {
    "config.json": b'{"model_type": "gpt2"}',
    "model.safetensors": WEIGHTS,
    "pytorch_model.bin": b"\x80\x04.",
    "modeling.py": b"raise SystemExit",
}
PROGRAM = """
import json, os, sys, traceback
from foundation.errors import FoundationError
from foundation.hub import Source, fetch, resolve
for line in sys.stdin:
    verb, settings, env = json.loads(line)
    os.environ.update(env)
    try:
        if verb == "resolve":
            local = resolve(settings.pop("source"), **settings)
        else:
            (local,) = fetch([Source(settings.pop("source"), **settings)])
        reply = dict(path=str(local.path), files=dict(local.files), revision=local.revision)
    except FoundationError as error:
        reply = str(error)
        traceback.print_exc()
    for name in env:
        del os.environ[name]
    print(json.dumps(reply), flush=True)
"""

# Loaded by path, since tests are no package.
_path = Path(__file__).parent / "hub_server.py"
_spec = importlib.util.spec_from_file_location("hub_server", _path)
assert _spec
assert _spec.loader
hub_server = importlib.util.module_from_spec(_spec)
sys.modules["hub_server"] = hub_server
_spec.loader.exec_module(hub_server)


class Client:
    """A process of its own, since huggingface_hub reads its settings once, at import."""

    def __init__(self, url: str, folder: Path, **env: str) -> None:
        self.folder = folder
        self.errors = folder / "stderr"
        self.folder.mkdir(exist_ok=True)
        own = {"HF_ENDPOINT": url, "HF_HOME": str(folder), "FOUNDATION_CACHE": str(folder / "own")}
        left_out = ("HF_TOKEN", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "FOUNDATION_OFFLINE")
        inherited = {key: value for key, value in os.environ.items() if key not in left_out}
        with self.errors.open("a") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM],
                env=inherited | own | env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def __call__(
        self, source: str, verb: str = "resolve", env: dict[str, str] | None = None, **settings: Any
    ) -> Any:
        """What was found, or the message of the error; standard error goes to a file."""
        assert self.process.stdin
        assert self.process.stdout
        print(
            json.dumps([verb, {"source": source, **settings}, env or {}]),
            file=self.process.stdin,
            flush=True,
        )
        text = self.process.stdout.readline()
        assert TOKEN[3:] not in text
        reply = json.loads(text)
        if isinstance(reply, str):
            assert "\n" not in reply
        return reply

    def close(self) -> None:
        """End the process; nothing it wrote may hold the token."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        assert self.process.wait() == 0
        self.process.stdout.close()
        written = [path for path in self.folder.rglob("*") if path.is_file()]
        assert self.errors in written
        assert not [path for path in written if TOKEN[3:].encode() in path.read_bytes()]


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    with hub_server.serving() as server:
        yield server


@pytest.fixture(scope="module")
def call(server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    client = Client(server.url, tmp_path_factory.mktemp("client") / "home", HF_DEBUG="1")
    yield client
    client.close()


@pytest.fixture
def hub(server: Any, request: pytest.FixtureRequest) -> Any:
    """The server with one repository that no other test has seen."""
    name = "".join(letter for letter in request.node.name if letter.isalnum())[:60]
    server.name, server.token = f"org/{name}", None
    server.repos[server.name] = hub_server.Repo(dict(FILES), tags=("main", "v1"))
    server.source, server.repo = f"hub:{server.name}", server.repos[server.name]
    server.asked.clear()
    return server


def test_pinned_model_is_fetched_once_without_pickles_or_code(hub: Any, call: Client) -> None:
    local = call(hub.source, revision=COMMIT)
    expected = {name: hashlib.sha256(FILES[name]).hexdigest() for name in list(FILES)[:2]}
    assert local["files"] == expected
    assert local["revision"] == COMMIT
    assert sorted(path.name for path in Path(local["path"]).iterdir()) == sorted(expected)
    assert not [line for line in hub.asked if line.endswith((".bin", ".py"))]
    hub.asked.clear()
    assert call(hub.source, revision=COMMIT) == local
    assert hub.asked == [], "a pinned model that is here needs no network"


@pytest.mark.parametrize("revision", [None, "v1"])
def test_unpinned_and_tagged_models_tell_their_commit(
    hub: Any, call: Client, revision: str | None
) -> None:
    assert call(hub.source, revision=revision)["revision"] == COMMIT
    offline = call(hub.source, revision=revision, env={"HF_HUB_OFFLINE": "1"})
    assert offline["revision"] == COMMIT


def test_offline_names_what_is_missing_and_how_to_bring_it(hub: Any, call: Client) -> None:
    for variable in ("HF_HUB_OFFLINE", "FOUNDATION_OFFLINE"):
        line = call(hub.source, revision=COMMIT, env={variable: "1"})
        assert line == (
            f"{hub.source} is not complete on this machine and {variable}=1: "
            "bring it with task=fetch where there is a network"
        )
    assert hub.asked == []
    call(hub.source, verb="fetch", revision=COMMIT)
    hub.asked.clear()
    for variable in ("HF_HUB_OFFLINE", "FOUNDATION_OFFLINE"):
        client = Client(hub.url, call.folder, **{variable: "1"})
        assert client(hub.source, revision=COMMIT)["files"]
        assert "is not complete" in client("hub:org/other", revision=COMMIT)
        client.close()
    assert hub.asked == []


def test_gated_model(hub: Any, call: Client) -> None:
    hub.repo.gated = True
    assert call(hub.source, revision=COMMIT) == (
        f"{hub.source} is gated: accept its conditions at {hub.url}/{hub.name} "
        "and set HF_TOKEN to a token of that account"
    )
    hub.token = TOKEN
    assert call(hub.source, revision=COMMIT, env={"HF_TOKEN": TOKEN})["files"]


@pytest.mark.parametrize(
    "token", [TOKEN, TOKEN + "\x01control", TOKEN + "é", f'"{TOKEN}"', TOKEN + "%2F\\n"]
)
def test_refused_token_is_never_shown(hub: Any, call: Client, token: str) -> None:
    """Client looks for it in every answer and, at the end, in all that was written and logged."""
    hub.token = "another"
    line = call(hub.source, revision=COMMIT, env={"HF_TOKEN": token})
    assert hub.source in line
    if token == TOKEN:
        assert "set HF_TOKEN to a valid one" in line


def test_token_in_its_file_is_never_shown(hub: Any, call: Client) -> None:
    hub.token = "another"
    file = call.folder / "token"
    file.write_text(TOKEN)
    try:
        assert "refused the token" in call(hub.source, revision=COMMIT)
    finally:
        file.unlink()


def test_unknown_repository_revision_name_and_server_error(hub: Any, call: Client) -> None:
    assert "hub:org/other is not on the Hub or is private" in call("hub:org/other")
    assert "no revision 'v9': give one" in call(hub.source, revision="v9")
    assert "no revision '2222" in call(hub.source, revision="2" * 40)
    assert "is no name on the Hub" in call("hub:not a name")
    # 501 is one that huggingface_hub does not wait for.
    hub.repo.broken = 501
    assert f"the Hub answered 501 for {hub.source}" in call(hub.source, revision=COMMIT)


def test_network_down(hub: Any, call: Client) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        alone = Client(f"http://127.0.0.1:{unused.getsockname()[1]}", call.folder)
        for revision in (COMMIT, None):
            line = alone(hub.source, revision=revision)
            assert line.startswith(f"cannot reach the Hub for {hub.source}")
        call(hub.source)
        assert alone(hub.source)["files"], "what is here is used"
        alone.close()


def test_only_pickles_are_refused_before_anything_is_fetched(hub: Any, call: Client) -> None:
    del hub.repo.files["model.safetensors"]
    line = call(hub.source, revision=COMMIT)
    assert line.startswith(f"{hub.source}/pytorch_model.bin is a pickle")
    assert not [request for request in hub.asked if "/resolve/" in request]


def test_named_file_is_fetched_beyond_the_patterns(hub: Any, call: Client) -> None:
    hub.repo.files |= {"q4.gguf": b"GGUF1234", "q8.gguf": b"GGUF12345678"}
    pinned = {"q4.gguf": hashlib.sha256(b"GGUF1234").hexdigest()}
    local = call(hub.source, revision=COMMIT, allow=["config.json"], sha256=pinned)
    assert set(local["files"]) == {"q4.gguf", "config.json"}
    assert "has the sha256" in call(hub.source, revision=COMMIT, sha256={"q4.gguf": "0" * 64})


def test_changed_cache_is_refused_and_mended_by_fetch(hub: Any, call: Client) -> None:
    local = call(hub.source, revision=COMMIT)
    folder = Path(local["path"])
    for name, content, words in (
        ("model.safetensors", WEIGHTS[:-100], "is truncated: "),
        ("model.safetensors", WEIGHTS[:-1] + b"\1", "is not the file the Hub sent"),
        ("config.json", b"{}", "is not the file the Hub sent"),
    ):
        (folder / name).write_bytes(content)
        line = call(hub.source, revision=COMMIT)
        assert words in line
        assert line.endswith("fetch it again with task=fetch")
        offline = call(hub.source, "fetch", revision=COMMIT, env={"FOUNDATION_OFFLINE": "1"})
        assert words in offline, "nothing is deleted that cannot be brought"
        assert call(hub.source, verb="fetch", revision=COMMIT) == local
        assert call(hub.source, revision=COMMIT) == local


def test_altered_on_the_way_is_refused(hub: Any, call: Client) -> None:
    hub.repo.altered["model.safetensors"] = WEIGHTS[:-1] + b"\1"
    assert "is not the file the Hub sent" in call(hub.source, verb="fetch", revision=COMMIT)


def test_redact_hides_every_spelling(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = "s3cret\n\x01/+é"
    monkeypatch.setenv("HF_TOKEN", odd)
    shown = redact(
        f"{odd} {odd!r} s3cret%0A%01%2F%2B%C3%A9 authorization: Bearer abcdef "
        f"https://me:pw@index/simple https://cdn/x?Signature=abc {TOKEN}"
    )
    for secret in ("s3cret", "abcdef", "pw", "Signature", TOKEN):
        assert secret not in shown
    assert "https://cdn/x?***" in shown
