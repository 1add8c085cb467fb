"""A hub on this machine: as much of its API as huggingface_hub needs here."""

import base64
import hashlib
import json
from typing import Any

from helpers.web_server import Request, Site, give, give_json

COMMIT = "a" * 40


class Hub:
    """Repositories with files, and what was committed."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.committed: dict[str, bytes] = {}
        self.created: list[dict[str, Any]] = []
        self._stored: dict[str, bytes] = {}

    def publish(self, repository: str, files: dict[str, bytes], **fields: Any) -> None:
        """Make a repository with these files at the branch main."""
        siblings = [_describe_file(name, content) for name, content in files.items()]
        about = {
            "id": repository,
            "sha": COMMIT,
            "author": repository.partition("/")[0],
            "siblings": siblings,
            "cardData": {"license": "mit"},
            **fields,
        }
        for revision in ("main", COMMIT):
            path = f"/api/models/{repository}/revision/{revision}"
            self.site.add(path, give_json(json.dumps(about)))
        for name, content in files.items():
            self.site.add(f"/{repository}/resolve/{COMMIT}/{name}", give(content))

    def accept(self, repository: str) -> None:
        """Take uploads into a repository."""
        self.site.add("/api/repos/create", self._create)
        self.site.add("/api/validate-yaml", give_json('{"errors": [], "warnings": []}'))
        api = f"/api/models/{repository}"
        self.site.add(f"{api}/preupload/main", self._preupload)
        self.site.add(f"/{repository}.git/info/lfs/objects/batch", self._plan_storage)
        self.site.add(f"{api}/commit/main", self._commit)
        self.site.add(api, give_json(json.dumps({"id": repository, "sha": COMMIT})))

    def _create(self, request: Request) -> None:
        self.created.append(json.loads(request.body))
        name = f"{self.created[-1]['organization']}/{self.created[-1]['name']}"
        give_json(json.dumps({"url": f"{self.site.address}/{name}", "name": name}))(request)

    def _preupload(self, request: Request) -> None:
        files = [
            {
                "path": file["path"],
                "uploadMode": "regular" if file["path"].endswith(".md") else "lfs",
                "shouldIgnore": False,
                "oid": None,
            }
            for file in json.loads(request.body)["files"]
        ]
        give_json(json.dumps({"files": files, "commitOid": COMMIT}))(request)

    def _plan_storage(self, request: Request) -> None:
        objects = []
        for each in json.loads(request.body)["objects"]:
            path = f"/storage/{each['oid']}"
            self.site.add(path, self._store)
            upload = {"href": f"{self.site.address}{path}"}
            objects.append({**each, "actions": {"upload": upload}})
        give_json(json.dumps({"transfer": "basic", "objects": objects}))(request)

    def _store(self, request: Request) -> None:
        assert request.path.endswith(hashlib.sha256(request.body).hexdigest())
        self._stored[request.path.rpartition("/")[2]] = request.body
        give_json("{}")(request)

    def _commit(self, request: Request) -> None:
        for line in request.body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                self.committed[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                self.committed[value["path"]] = self._stored[value["oid"]]
        repository = request.path.removeprefix("/api/models").partition("/commit/")[0]
        url = f"{self.site.address}{repository}/commit/{COMMIT}"
        about = {"commitUrl": url, "commitOid": COMMIT}
        give_json(json.dumps({**about, "success": True}))(request)


def _describe_file(name: str, content: bytes) -> dict[str, Any]:
    about = {"rfilename": name, "size": len(content), "blobId": "b" * 40}
    if name.endswith((".md", ".json")):
        return about
    digest = hashlib.sha256(content).hexdigest()
    return {**about, "lfs": {"sha256": digest, "size": len(content), "pointerSize": 130}}
