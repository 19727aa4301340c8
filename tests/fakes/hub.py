"""A Hugging Face Hub on loopback: search, details, trees, files behind a CDN, tokens, gates, errors and rate limits.

Facts: the reference on Hugging Face, section by section. Errors are decided where the real Hub decides them: first the
token, then the repository, then the revision, then the path, and the gate last.
"""

from __future__ import annotations

import base64
import json
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import parse_qs, quote, unquote, urlencode

from tests.fakes import hub_registry
from tests.fakes.cdn import FakeCdn, serve_blob
from tests.fakes.faults import RATE_LIMIT_TEXT, FaultyExchange, FaultyServer
from tests.fakes.hub_registry import ManifestAnswer
from tests.fakes.hub_search import BadQuery, detail, expanded, find, list_entry, page_limit, stamp
from tests.fakes.repo import Blob, Commit, Repo, RepoFile, Token
from tests.fakes.server import Exchange

BAD_LOGIN = "Invalid username or password."
BAD_TOKEN = "Invalid credentials in Authorization header"
WINDOW = 300  # seconds of a rate limit


class Refusal(Exception):
    """An error answer of the Hub."""

    def __init__(self, status: int, text: str, code: str | None = None, headers: dict[str, str] | None = None) -> None:
        super().__init__(text)
        self.status, self.text = status, text
        self.headers = {"X-Error-Message": text, **({"X-Error-Code": code} if code else {}), **(headers or {})}


@dataclass
class Asked:
    """A request about one repository: who asks, about what, and the rest of its path, still percent-encoded."""

    exchange: FaultyExchange
    viewer: Token | None
    repo: Repo
    action: str
    rest: list[str]

    def revision(self, at: int = 0) -> Commit:
        name = unquote(self.rest[at]) if len(self.rest) > at else "main"
        commit = self.repo.commit(name)
        if commit is None:
            raise Refusal(404, f"Invalid rev id: {name}", "RevisionNotFound")
        return commit

    @property
    def path(self) -> str:
        """What follows the revision."""
        return unquote("/".join(self.rest[1:])).strip("/")

    def file(self, commit: Commit) -> RepoFile:
        """The file asked for, if it exists and its bytes may be read by the one who asks."""
        file = commit.files.get(self.path)
        if file is None:
            raise Refusal(404, "Entry not found", "EntryNotFound", {"X-Repo-Commit": commit.sha})
        self.check_gate()
        return file

    def check_gate(self) -> None:
        repo = self.repo
        if not repo.gated or (self.viewer and self.viewer.may_read(repo)):
            return
        if self.viewer is None:
            raise Refusal(
                401,
                f"Access to model {repo.id} is restricted. You must have access to it and be authenticated to access "
                "it. Please log in.",
                "GatedRepo",
            )
        raise Refusal(403, _not_granted(repo.id, self.viewer), "GatedRepo")


class FakeHub(FaultyServer):
    """`add` repositories, set `tokens`, spoil answers by `faults` (here or on `cdn`), read `requests`."""

    def __init__(self, port: int = 0, clock: Callable[[], float] = time.time) -> None:
        super().__init__(port)
        self.repos: dict[str, Repo] = {}
        self.tokens: dict[str, Token] = {}
        self.cdn = FakeCdn(clock=clock)
        self.clock = clock
        self.max_page = 1000  # the page size of the list, also where the client asks for more
        self.tree_page = 1000
        self.link_origin: str | None = None  # a mirror's Link may still name the real Hub
        self.quotas = {"api": 50_000, "resolvers": 50_000, "pages": 50_000}  # requests per viewer in 300 s
        self.whoami_quota = 50_000  # a narrower limit of its own, beside that of the API, of which no header tells
        self.ssh_grants: set[str] = set()  # gated or private repositories that Ollama's own key may pull
        self._used: dict[tuple[str, str], int] = {}
        self._window_start = clock()
        self._count_lock = threading.Lock()
        self._registry_blobs: dict[str, Blob] = {}
        self.route("GET", "/api/models", self._guarded(self._list))
        self.route("GET", "/api/models/.+", self._guarded(self._model_get))
        self.route("POST", "/api/models/.+/paths-info/.+", self._guarded(self._paths_info))
        self.route("GET", "/api/resolve-cache/models/.+", self._guarded(self._resolve_cache))
        self.route("GET", "/api/whoami-v2", self._guarded(self._whoami))
        self.route("GET", "/v2/(?P<id>[^/]+/[^/]+)/manifests/(?P<tag>.+)", self._manifest)
        self.route("GET", "/v2/(?P<id>[^/]+/[^/]+)/blobs/(?P<digest>sha256:[0-9a-f]{64})", self._registry_blob)
        self.route("GET", "/[^/]+(/[^/]+)?/resolve/.+", self._guarded(self._resolve, as_text=True))

    def add(self, *repos: Repo) -> Repo:
        """Publish repositories; returns the last."""
        for repo in repos:
            self.repos[repo.id] = repo
        return repos[-1]

    def start(self) -> Self:
        self.cdn.start()
        return super().start()

    def stop(self) -> None:
        super().stop()
        self.cdn.stop()

    # Rate limits and errors

    def standard_headers(self, exchange: FaultyExchange) -> dict[str, str]:
        bucket, viewer = _bucket(exchange.seen.path), exchange.seen.headers.get("authorization", "")
        quota, used = self.quotas[bucket], self._used.get((bucket, viewer), 0)
        return {
            "RateLimit": f'"{bucket}";r={max(0, quota - used)};t={self._seconds_left()}',
            "RateLimit-Policy": f'"fixed window";"{bucket}";q={quota};w={WINDOW}',
            "X-Request-Id": f"Root=1-{len(self.requests):08x}",
        }

    def admit(self, exchange: FaultyExchange) -> bool:
        key = (_bucket(exchange.seen.path), exchange.seen.headers.get("authorization", ""))
        with self._count_lock:
            if self._seconds_left() <= 0:
                self._window_start = self.clock()
                self._used.clear()
            self._used[key] = self._used.get(key, 0) + 1
            admitted = self._used[key] <= self.quotas[key[0]]
            if exchange.seen.path == "/api/whoami-v2":
                asked = ("whoami", key[1])
                self._used[asked] = self._used.get(asked, 0) + 1
                admitted = admitted and self._used[asked] <= self.whoami_quota
        if not admitted:
            exchange.json(429, {"error": RATE_LIMIT_TEXT}, {"X-Error-Message": RATE_LIMIT_TEXT})
        return admitted

    def _seconds_left(self) -> int:
        return max(0, math.ceil(self._window_start + WINDOW - self.clock()))

    def _guarded(self, handler: Callable[[FaultyExchange], None], as_text: bool = False) -> Callable[[Exchange], None]:
        def guarded(exchange: Exchange) -> None:
            assert isinstance(exchange, FaultyExchange)
            try:
                handler(exchange)
            except BadQuery as error:
                exchange.json(400, {"error": str(error)}, {"X-Error-Message": str(error)})
            except Refusal as refusal:
                if refusal.status == 401:
                    refusal.headers["WWW-Authenticate"] = 'Bearer realm="Authentication required", charset="UTF-8"'
                if as_text:
                    exchange.text(refusal.status, refusal.text, refusal.headers)
                else:
                    exchange.json(refusal.status, {"error": refusal.text}, refusal.headers)

        return guarded

    # Who asks, and about what

    def _viewer(self, exchange: Exchange) -> Token | None:
        sent = exchange.seen.headers.get("authorization")
        if sent is None:
            return None
        token = self.tokens.get(sent.removeprefix("Bearer "))
        if token is None or token.revoked:
            raise Refusal(401, BAD_TOKEN)
        return token

    def _asked(self, exchange: FaultyExchange, segments: list[str], actions: set[str]) -> Asked | None:
        """What is asked about which repository; None once a redirect to its present id was sent."""
        at = 1 if len(segments) > 1 and segments[1] in actions else 2
        asked_id = unquote("/".join(segments[:at]))
        repo, viewer, is_old_name = self._lookup(exchange, asked_id)
        if is_old_name:
            target = exchange.seen.target.replace("/".join(segments[:at]), repo.id, 1)
            exchange.redirect(307, target)
            return None
        rest = segments[at:]
        return Asked(exchange, viewer, repo, rest[0] if rest else "", rest[1:])

    def _lookup(self, exchange: Exchange, asked_id: str) -> tuple[Repo, Token | None, bool]:
        repo = self.repos.get(asked_id)
        is_old_name = repo is None
        if repo is None:
            wanted = asked_id.lower()
            names = ((r, {r.id.lower(), *(alias.lower() for alias in r.aliases)}) for r in self.repos.values())
            repo = next((r for r, known in names if wanted in known), None)
        try:
            viewer = self._viewer(exchange)
        except Refusal:
            # A gated file answers an unknown token as it answers no token.
            if repo is None or not repo.gated or repo.private or "/resolve/" not in exchange.seen.path:
                raise
            viewer = None
        if repo is None or (repo.private and not (viewer and viewer.may_read(repo))):
            if viewer is None:
                raise Refusal(401, BAD_LOGIN)
            raise Refusal(404, "Repository not found", "RepoNotFound")
        if repo.disabled:
            raise Refusal(403, "Access to this resource is disabled.")
        return repo, viewer, is_old_name

    # The API

    def _list(self, exchange: FaultyExchange) -> None:
        viewer, seen = self._viewer(exchange), exchange.seen
        expanded(seen)
        visible = [r for r in self.repos.values() if not r.private or (viewer and viewer.may_read(r))]
        page, cursor = find(visible, seen, self.max_page)
        exchange.json(200, [list_entry(repo, seen) for repo in page], self._link(exchange, cursor))

    def _link(self, exchange: FaultyExchange, cursor: str | None) -> dict[str, str]:
        if cursor is None:
            return {}
        query = [(name, value) for name, value in exchange.seen.query if name != "cursor"] + [("cursor", cursor)]
        path = exchange.seen.target.split("?")[0]
        return {"Link": f'<{self.link_origin or self.url}{path}?{urlencode(query)}>; rel="next"'}

    def _model_get(self, exchange: FaultyExchange) -> None:
        actions: dict[str, Callable[[Asked], None]] = {
            "": self._detail,
            "revision": self._detail,
            "tree": self._tree,
            "treesize": self._treesize,
            "refs": self._refs,
        }
        segments = exchange.seen.target.split("?")[0].split("/")[3:]
        asked = self._asked(exchange, segments, set(actions))
        if asked is None:
            return
        if asked.action not in actions:
            raise Refusal(404, "Sorry, we can't find the page you are looking for.")
        actions[asked.action](asked)

    def _detail(self, asked: Asked) -> None:
        asked.exchange.json(200, detail(asked.repo, asked.revision(), asked.exchange.seen))

    def _tree(self, asked: Asked) -> None:
        commit, seen = asked.revision(), asked.exchange.seen
        wide = (seen.param("expand") or "").lower() == "true"
        entries = _tree_entries(commit, asked.path, (seen.param("recursive") or "").lower() in ("true", "1"))
        if entries is None:
            raise Refusal(404, f"{asked.path} does not exist on {commit.sha}", "EntryNotFound")
        cursor = seen.param("cursor")
        if cursor:
            last = base64.b64decode(cursor).decode()
            entries = [entry for entry in entries if entry["path"] > last]
        limit = min(page_limit(seen, self.tree_page), 50 if wide else self.tree_page)
        page = entries[:limit]
        following = base64.b64encode(page[-1]["path"].encode()).decode() if len(entries) > limit else None
        answer = [_expand(asked.repo, commit, entry) for entry in page] if wide else page
        asked.exchange.json(200, answer, self._link(asked.exchange, following))

    def _treesize(self, asked: Asked) -> None:
        files = asked.revision().files.values()
        inside = [f for f in files if not asked.path or f.path == asked.path or f.path.startswith(asked.path + "/")]
        asked.exchange.json(200, {"path": asked.path, "size": sum(file.blob.size for file in inside)})

    def _refs(self, asked: Asked) -> None:
        branches = [{"name": b, "ref": f"refs/heads/{b}", "targetCommit": asked.repo.sha} for b in asked.repo.branches]
        answer: dict[str, Any] = {"tags": [], "branches": branches, "converts": []}
        if asked.exchange.seen.param("include_prs"):
            answer["pullRequests"] = []
        asked.exchange.json(200, answer)

    def _paths_info(self, exchange: FaultyExchange) -> None:
        asked = self._asked(exchange, exchange.seen.target.split("/")[3:], {"paths-info"})
        if asked is None:
            return
        commit, form = asked.revision(), parse_qs(exchange.seen.body.decode())
        entries = {entry["path"]: entry for entry in _tree_entries(commit, "", recursive=True) or []}
        found = [entries[path] for path in form.get("paths", []) if path in entries]
        if form.get("expand", ["false"])[0].lower() == "true":
            found = [_expand(asked.repo, commit, entry) for entry in found]
        exchange.json(200, found)

    def _whoami(self, exchange: FaultyExchange) -> None:
        sent = self.tokens.get(exchange.seen.headers.get("authorization", "").removeprefix("Bearer "))
        if sent is not None and sent.revoked:
            raise Refusal(401, BAD_LOGIN)
        token = self._viewer(exchange)
        if token is None:
            raise Refusal(401, BAD_LOGIN)
        access: dict[str, Any] = {
            "displayName": token.name,
            "role": token.role,
            "createdAt": "2026-01-02T03:04:05.678Z",
        }
        if token.role == "fineGrained":
            may = ["inference.serverless.write"] if token.may_infer else []
            scoped = token.scoped or [
                {"entity": {"_id": "0" * 24, "type": "user", "name": token.name}, "permissions": may}
            ]
            access["fineGrained"] = {
                "canReadGatedRepos": bool(token.granted),
                "global": token.everywhere,
                "scoped": scoped,
            }
        answer = {
            "type": "user",
            "id": "6" * 24,
            "name": token.name,
            "fullname": token.name.title(),
            "isPro": token.is_pro,
            "avatarUrl": "/avatars/0.svg",
            "orgs": [{"type": "org", "name": org} for org in token.orgs],
            "auth": {"type": "access_token", "accessToken": access},
        }
        exchange.json(200, answer)

    # Files

    def _resolve(self, exchange: FaultyExchange) -> None:
        asked = self._asked(exchange, exchange.seen.target.split("?")[0].split("/")[1:], {"resolve"})
        if asked is None:
            return
        commit = asked.revision()
        file = asked.file(commit)
        headers = {"X-Repo-Commit": commit.sha, "Accept-Ranges": "bytes"}
        if not file.is_lfs:
            path = quote(file.path)
            query = urlencode({exchange.seen.target.split("?")[0]: "", "etag": f'"{file.oid}"'})
            exchange.redirect(307, f"/api/resolve-cache/models/{asked.repo.id}/{commit.sha}/{path}?{query}", headers)
            return
        location = self.cdn.sign("xet-bridge-us", file.blob)
        refresh = f"{self.url}/api/models/{asked.repo.id}/xet-read-token/{commit.sha}"
        headers |= {
            "X-Linked-Size": str(file.blob.size),
            "X-Linked-Etag": f'"{file.blob.sha256}"',
            "X-Xet-Hash": file.blob.xet_hash,
            "Link": f'<{refresh}>; rel="xet-auth"',
            "Location": location,
        }
        is_ollama = exchange.seen.headers.get("user-agent", "").startswith("ollama")
        status, word = (307, "Temporary Redirect") if is_ollama else (302, "Found")
        exchange.text(status, f"{word}. Redirecting to {location}", headers)

    def _resolve_cache(self, exchange: FaultyExchange) -> None:
        segments = exchange.seen.target.split("?")[0].split("/")[4:]
        asked = self._asked(exchange, [*segments[:2], "resolve", *segments[2:]], {"resolve"})
        if asked is not None:
            commit = asked.revision()
            file = asked.file(commit)
            serve_blob(exchange, file.blob, file.oid, {"X-Repo-Commit": commit.sha})

    # The registry for Ollama

    def manifest(self, user: str, repo: str, tag: str = "latest", *, user_agent: str = "ollama") -> ManifestAnswer:
        """What `GET /v2/{user}/{repo}/manifests/{tag}` answers; Ollama's key, not a token, opens what is closed."""
        wanted = f"{user}/{repo}".lower()
        found = next((r for r in self.repos.values() if wanted in (r.id.lower(), *map(str.lower, r.aliases))), None)
        is_granted = found is not None and found.id in self.ssh_grants
        if found is None or ((found.private or found.gated) and not is_granted):
            gated = found is not None and not found.private
            headers = {"WWW-Authenticate": f'Basic realm="{self.url}/ssh-auth"', "Content-Type": "application/json"}
            text = f"Access to model {found.id} is restricted." if found is not None and gated else BAD_LOGIN
            headers |= {"X-Error-Message": text} | ({"X-Error-Code": "GatedRepo"} if gated else {})
            return ManifestAnswer(401, json.dumps({"error": text}).encode(), headers)
        answer = hub_registry.manifest(found.commits[-1], tag, found.gguf, user_agent.startswith("llama-cpp"))
        self._registry_blobs |= answer.blobs
        return answer

    def _manifest(self, exchange: Exchange) -> None:
        user, repo = exchange.match["id"].split("/")
        agent = exchange.seen.headers.get("user-agent", "")
        answer = self.manifest(user, repo, exchange.match["tag"], user_agent=agent)
        headers = dict(answer.headers)
        exchange.send(answer.status, answer.body, headers.pop("Content-Type"), headers)

    def _registry_blob(self, exchange: Exchange) -> None:
        blob = self._registry_blobs.get(exchange.match["digest"])
        if blob is None:
            exchange.json(404, {"error": "blob unknown to registry"})
        elif exchange.seen.method == "HEAD":
            exchange.headers(200, {"Content-Length": str(blob.size), "Content-Type": "application/octet-stream"})
        else:
            exchange.redirect(307, self.cdn.sign("xet-bridge-us", blob))


def _not_granted(id: str, viewer: Token) -> str:
    if id in viewer.rejected:
        return f"Your request to access model {id} has been rejected by the repo's authors."
    if id in viewer.pending:
        return f"Your request to access model {id} is awaiting a review from the repo authors."
    return (
        f"Access to model {id} is restricted and you are not in the authorized list. "
        f"Visit https://huggingface.co/{id} to ask for access."
    )


def _bucket(path: str) -> str:
    if path.startswith(("/api/resolve-cache/", "/v2/")) or "/resolve/" in path:
        return "resolvers"
    return "api" if path.startswith("/api/") else "pages"


def _tree_entries(commit: Commit, folder: str, recursive: bool) -> list[dict[str, Any]] | None:
    """Files and directories below a folder, by path; None where there is no such folder."""
    prefix = f"{folder}/" if folder else ""
    entries: dict[str, dict[str, Any]] = {}
    for path, file in commit.files.items():
        if not path.startswith(prefix):
            continue
        parts = path.removeprefix(prefix).split("/")
        for depth in range(1, len(parts) if recursive else min(2, len(parts))):
            name = prefix + "/".join(parts[:depth])
            entries[name] = {"type": "directory", "oid": Blob(name.encode()).git_sha1, "size": 0, "path": name}
        if recursive or len(parts) == 1:
            entries[path] = file.tree_entry()
    if not entries and folder:
        return None
    return [entries[path] for path in sorted(entries)]


def _expand(repo: Repo, commit: Commit, entry: dict[str, Any]) -> dict[str, Any]:
    extra: dict[str, Any] = {"lastCommit": {"id": commit.sha, "title": commit.title, "date": stamp(commit.date)}}
    if entry["type"] == "file":
        status = repo.unsafe.get(entry["path"], "safe")
        scan = {"virusFound": status == "unsafe", "virusNames": None}
        extra["securityFileStatus"] = {"status": status, "avScan": scan, "pickleImportScan": None}
    return entry | extra
