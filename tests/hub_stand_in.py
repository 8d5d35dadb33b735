"""A stand-in for the Hugging Face Hub: the part of its HTTP API that sending and fetching a model needs.

It keeps repositories in memory, stores large files aside as the Hub does (LFS), hands them out from another
host, and remembers every request.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKEN = "hf_right"
USER = {"name": "sunja", "type": "user", "orgs": [{"name": "cats-inc", "type": "org"}]}


@dataclass
class Repository:
    """One model's files, under the number of the last commit."""

    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    commits: list[dict[str, bytes]] = field(default_factory=list)

    def commit(self) -> None:
        """Keep what the files are now."""
        self.commits.append(dict(self.files))

    @property
    def sha(self) -> str:
        """Return the name of the last commit."""
        return f"{len(self.commits):040x}"

    def at(self, revision: str) -> dict[str, bytes] | None:
        """Return the files of a revision; None where there is none."""
        if revision == "main":
            return self.commits[-1] if self.commits else {}
        if re.fullmatch("[0-9a-f]{40}", revision) and 0 < int(revision, 16) <= len(self.commits):
            return self.commits[int(revision, 16) - 1]
        return None


class Hub(ThreadingHTTPServer):
    """The stand-in.

    Attributes:
        repositories: By their names.
        large: Files stored aside, by their SHA-256.
        requests: Method and path of each request, in order.
        faults: Status to answer with instead, by a part of the path.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, Repository] = {}
        self.large: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []
        self.faults: dict[str, int] = {}

    @property
    def endpoint(self) -> str:
        """Return its address."""
        return f"http://127.0.0.1:{self.server_port}"

    def put(self, name: str, files: dict[str, bytes], *, private: bool = False) -> Repository:
        """Add a repository, as if somebody had sent it."""
        repository = self.repositories[name] = Repository(private, dict(files))
        repository.commit()
        self.large |= {hashlib.sha256(content).hexdigest(): content for content in files.values()}
        return repository

    def wrote(self) -> list[str]:
        """Return the requests that changed anything."""
        asking = re.compile("preupload|validate-yaml|/batch$")
        return [
            path for method, path in self.requests if method in ("POST", "PUT") and not asking.search(path)
        ]


@contextmanager
def hub() -> Iterator[Hub]:
    """Run a stand-in."""
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def is_large(path: str) -> bool:
    """Say whether the Hub would store a file aside."""
    return path.endswith((".safetensors", ".bin", ".pt"))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def do_HEAD(self) -> None:
        self._route()

    def do_GET(self) -> None:
        self._route()

    def do_POST(self) -> None:
        self._route()

    def do_PUT(self) -> None:
        self._route()

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _route(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.body = self._read_body()
        self.server.requests.append((self.command, path))
        for part, status in self.server.faults.items():
            if part in path:
                return self._json({"error": "the stand-in was told to fail"}, status)
        for method, pattern, answer in _ROUTES:
            match = re.fullmatch(pattern, path)
            if match and self.command in method:
                return answer(self, *match.groups())
        return self._json({"error": "not found"}, 404)

    def _read_body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _answer(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _json(self, value: object, status: int = 200, **headers: str) -> None:
        self._answer(status, json.dumps(value).encode(), Content_Type="application/json", **headers)

    def _known(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _repository(self, name: str) -> Repository | None:
        """Return a repository that the asker may see; otherwise answer as the Hub does."""
        found = self.server.repositories.get(name)
        if found is not None and (self._known() or not found.private):
            return found
        status = 404 if self._known() else 401
        self._json({"error": "Repository not found"}, status, X_Error_Code="RepoNotFound")
        return None

    def _home(self) -> None:
        self._answer(200, b"")

    def _who(self) -> None:
        self._json(USER) if self._known() else self._json({"error": "Invalid credentials"}, 401)

    def _create(self) -> None:
        asked = json.loads(self.body)
        owner = asked.get("organization") or USER["name"]
        name = f"{owner}/{asked['name']}"
        if not self._known():
            return self._json({"error": "Unauthorized"}, 401)
        if name in self.server.repositories:
            return self._json({"error": "You already created this model repo"}, 409)
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        self.server.repositories[name] = Repository(
            private, {".gitattributes": b"*.safetensors filter=lfs\n"}
        )
        self.server.repositories[name].commit()
        return self._json({"url": f"{self.server.endpoint}/{name}", "name": name})

    def _info(self, name: str, revision: str | None = None) -> None:
        repository = self._repository(name)
        if repository is None:
            return None
        files = repository.at(revision or "main")
        if files is None:
            return self._json({"error": "Invalid rev"}, 404, X_Error_Code="RevisionNotFound")
        sha = revision if revision and revision != "main" else repository.sha
        siblings = [_sibling(path, content) for path, content in files.items()]
        return self._json({"id": name, "sha": sha, "private": repository.private, "siblings": siblings})

    def _validate(self) -> None:
        """Refuse a card as the Hub does, here for one fault alone: a licence that it does not know."""
        if "license: nonsense" in json.loads(self.body)["content"]:
            return self._json({"errors": [{"message": '"license" must be one of [mit, ...]'}]}, 400)
        return self._json({"errors": [], "warnings": []})

    def _preupload(self, name: str, revision: str) -> None:
        if self._repository(name) is not None:
            files = [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if is_large(file["path"]) else "regular",
                    "shouldIgnore": False,
                }
                for file in json.loads(self.body)["files"]
            ]
            self._json({"files": files})

    def _batch(self, name: str) -> None:
        if self._repository(name) is not None:
            objects = [self._upload(asked) for asked in json.loads(self.body)["objects"]]
            self._json({"transfer": "basic", "objects": objects})

    def _upload(self, asked: dict) -> dict:
        if asked["oid"] in self.server.large:
            return asked
        upload = {"href": f"{self.server.endpoint}/large/{asked['oid']}"}
        verify = {"href": f"{self.server.endpoint}/verify"}
        return asked | {"actions": {"upload": upload, "verify": verify}}

    def _store(self, oid: str) -> None:
        if hashlib.sha256(self.body).hexdigest() != oid:
            return self._json({"error": "wrong content"}, 400)
        self.server.large[oid] = self.body
        return self._answer(200, b"", ETag=f'"{oid}"')

    def _verify(self) -> None:
        asked = json.loads(self.body)
        whole = len(self.server.large.get(asked["oid"], b"")) == asked["size"]
        self._json({}, 200 if whole else 400)

    def _commit(self, name: str, revision: str) -> None:
        repository = self._repository(name)
        if repository is None:
            return
        for line in self.body.splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "file":
                repository.files[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                repository.files[value["path"]] = self.server.large[value["oid"]]
            elif item["key"] == "deletedFile":
                del repository.files[value["path"]]
        repository.commit()
        url = f"{self.server.endpoint}/{name}/commit/{repository.sha}"
        self._json({"success": True, "commitOid": repository.sha, "commitUrl": url})

    def _resolve(self, name: str, revision: str, path: str) -> None:
        repository = self._repository(name)
        if repository is None:
            return None
        content = (repository.at(revision) or {}).get(path)
        if content is None:
            return self._json({"error": "Entry not found"}, 404, X_Error_Code="EntryNotFound")
        sha = revision if revision != "main" else repository.sha
        if not is_large(path):
            return self._answer(200, content, ETag=f'"{_blob(content)}"', X_Repo_Commit=sha)
        oid = hashlib.sha256(content).hexdigest()
        return self._answer(
            302,
            b"",
            Location=f"http://localhost:{self.server.server_port}/large/{oid}",
            X_Repo_Commit=sha,
            X_Linked_Etag=f'"{oid}"',
            X_Linked_Size=str(len(content)),
        )

    def _hand_out(self, oid: str) -> None:
        assert "Authorization" not in self.headers  # the token is for the Hub alone
        self._answer(200, self.server.large[oid], ETag=f'"{oid}"')


def _sibling(path: str, content: bytes) -> dict:
    entry: dict = {"rfilename": path, "size": len(content), "blobId": _blob(content)}
    if is_large(path):
        oid = hashlib.sha256(content).hexdigest()
        entry["lfs"] = {"sha256": oid, "size": len(content), "pointerSize": 130}
    return entry


def _blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


_NAME = "([^/]+/[^/]+)"
_ROUTES = [
    (("HEAD", "GET"), "/?", _Handler._home),
    (("GET",), "/api/whoami-v2", _Handler._who),
    (("POST",), "/api/repos/create", _Handler._create),
    (("POST",), "/api/validate-yaml", _Handler._validate),
    (("GET",), f"/api/models/{_NAME}", _Handler._info),
    (("GET",), f"/api/models/{_NAME}/revision/(.+)", _Handler._info),
    (("POST",), f"/api/models/{_NAME}/preupload/(.+)", _Handler._preupload),
    (("POST",), f"/api/models/{_NAME}/commit/(.+)", _Handler._commit),
    (("POST",), rf"/{_NAME}\.git/info/lfs/objects/batch", _Handler._batch),
    (("PUT",), "/large/(.+)", _Handler._store),
    (("HEAD", "GET"), "/large/(.+)", _Handler._hand_out),
    (("POST",), "/verify", _Handler._verify),
    (("HEAD", "GET"), f"/{_NAME}/resolve/([^/]+)/(.+)", _Handler._resolve),
]
"""Method, path, and what answers."""
