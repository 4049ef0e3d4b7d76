"""A stand-in for the Hub's HTTP interface, as much as huggingface_hub's downloads speak of it.

GET  /api/models/<repo>[/revision/<revision>]   commit and names of the files
GET  /api/models/<repo>/tree/<commit>           sizes and digests of the files
HEAD/GET /<repo>/resolve/<revision>/<path>      one file; ranges are served
Errors carry X-Error-Code and X-Error-Message as the Hub's do.
"""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

LARGE = (".safetensors", ".bin", ".gguf")
"""Files the Hub keeps outside git, known by their sha256."""


@dataclass
class Repo:
    """One repository with a single commit. `broken`: status to answer files with."""

    files: dict[str, bytes]
    commit: str = "1" * 40
    tags: tuple[str, ...] = ("main",)
    gated: bool = False
    broken: int | None = None
    altered: dict[str, bytes] = field(default_factory=dict)

    def has(self, revision: str) -> bool:
        return revision == self.commit or revision in self.tags


def etag(name: str, content: bytes) -> str:
    if name.endswith(LARGE):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Hub(ThreadingHTTPServer):
    """`token`: the only one accepted. `asked`: method and path of every request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repos: dict[str, Repo] = {}
        self.token: str | None = None
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.asked.append(f"{self.command} {path}")
        sent = self.headers.get("Authorization")
        if sent is not None and sent != f"Bearer {self.server.token}":
            # A server that echoes the token: nobody may pass this on.
            return self.refuse(401, None, "Invalid credentials in Authorization header", sent)
        parts = path.strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            return self.api("/".join(parts[2:4]), parts[4:])
        if parts[2:3] == ["resolve"]:
            return self.file("/".join(parts[:2]), parts[3], "/".join(parts[4:]), sent)
        return self.refuse(404, None, "Not found")

    def repo(self, name: str, revision: str) -> Repo | None:
        repo = self.server.repos.get(name)
        if repo is None:
            self.refuse(401, "RepoNotFound", "Repository not found")
        elif not repo.has(revision):
            self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return None
        return repo

    def api(self, name: str, rest: list[str]) -> None:
        revision = rest[1] if len(rest) > 1 else "main"
        if (repo := self.repo(name, revision)) is None:
            return
        if rest[:1] == ["tree"]:
            tree = [self.entry(file, content) for file, content in repo.files.items()]
            return self.send(200, json.dumps(tree).encode())
        siblings = [{"rfilename": file} for file in repo.files]
        info = {"id": name, "modelId": name, "sha": repo.commit, "siblings": siblings}
        return self.send(200, json.dumps(info).encode())

    def entry(self, name: str, content: bytes) -> dict[str, object]:
        git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        entry: dict[str, object] = {"type": "file", "path": name, "size": len(content), "oid": git}
        if name.endswith(LARGE):
            entry["lfs"] = {"oid": etag(name, content), "size": len(content), "pointerSize": 130}
        return entry

    def file(self, name: str, revision: str, file: str, sent: str | None) -> None:
        if (repo := self.repo(name, revision)) is None:
            return
        if repo.gated and sent is None:
            page = f"Access to model {name} is restricted."
            return self.refuse(401, "GatedRepo", page)
        if repo.broken:
            return self.refuse(repo.broken, None, "broken")
        if file not in repo.files:
            return self.refuse(404, "EntryNotFound", "Entry not found")
        headers = {"X-Repo-Commit": repo.commit, "ETag": f'"{etag(file, repo.files[file])}"'}
        return self.send(200, repo.altered.get(file, repo.files[file]), headers)

    def refuse(self, status: int, code: str | None, message: str, body: str = "") -> None:
        headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
        self.send(status, json.dumps({"error": f"{message} {body}"}).encode(), headers)

    def send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        length = len(body)
        if status == 200 and (range_ := self.headers.get("Range")):
            start = int(range_.removeprefix("bytes=").split("-")[0])
            headers = (headers or {}) | {"Content-Range": f"bytes {start}-{length - 1}/{length}"}
            status, body = 206, body[start:]
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json"} | (headers or {})).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[Hub]:
    """A Hub on a free port of this machine."""
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()
