"""A local web server, which can misbehave."""

import base64
import http.server
import json
import pathlib
import threading

import numpy as np


class Server:
    """Serve a folder, and record each request as (path, token) in `requests`.

    `redirect` is the URL to which requests for weights are redirected. `cut`
    is the number of bytes that are missing at the end of the weights.
    `answer(handler)` replies instead of the server if it returns True.
    `post(path, content)` returns the JSON answer to a POST, or None for "not
    found".
    """

    def __init__(self, folder):
        self.requests = requests = []
        self.redirect = None
        self.cut = 0
        self.answer = lambda handler: False
        self.post = lambda path, content: None
        server = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *args):
                super().__init__(*args, directory=str(folder))

            def do_GET(self):
                requests.append((self.path, self.headers["Authorization"]))
                if server.answer(self):
                    return
                if server.redirect and self.path.endswith(".h5"):
                    self.send_response(307)
                    self.send_header("Location", server.redirect)
                    self.end_headers()
                elif server.cut and self.path.endswith(".h5"):
                    content = (folder / self.path.lstrip("/")).read_bytes()
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content[: -server.cut])
                else:
                    super().do_GET()

            def do_POST(self):
                requests.append((self.path, self.headers["Authorization"]))
                length = int(self.headers["Content-Length"])
                answer = server.post(self.path, self.rfile.read(length))
                data = json.dumps(answer or {}).encode()
                self.send_response(404 if answer is None else 200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_HEAD(self):
                requests.append((self.path, self.headers["Authorization"]))
                if not server.answer(self):
                    super().do_HEAD()

            def log_message(self, *args):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(
            target=self.http.serve_forever, args=(0.01,), daemon=True
        ).start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()


BRANCHES = ("main", "v1")


class Hub(Server):
    """Imitate the part of the Hugging Face Hub that `user/repo` needs.

    Uploads are written into the folder that it serves.
    """

    commit = "c" * 40

    def __init__(self, folder):
        super().__init__(folder)
        self.folder = pathlib.Path(folder)
        self.answer = self._resolve
        self.post = self._commit

    def _commit(self, path, content):
        if path == "/api/repos/create":
            return {"url": f"{self.url}/user/{json.loads(content)['name']}"}
        if path == "/api/validate-yaml":
            return {"errors": [], "warnings": []}
        if path.endswith(tuple(f"/user/repo/preupload/{b}" for b in BRANCHES)):
            return {
                "files": [
                    {
                        "path": file["path"],
                        "uploadMode": "regular",
                        "shouldIgnore": False,
                    }
                    for file in json.loads(content)["files"]
                ]
            }
        if path.endswith(tuple(f"/user/repo/commit/{b}" for b in BRANCHES)):
            for line in map(json.loads, content.splitlines()):
                if line["key"] == "file":
                    name, text = line["value"]["path"], line["value"]["content"]
                    (self.folder / name).write_bytes(base64.b64decode(text))
            return {
                "commitUrl": f"{self.url}/user/repo/commit/{self.commit}",
                "commitOid": self.commit,
            }
        return None

    def _resolve(self, handler):
        path = handler.path.partition("?")[0]
        start, _, rest = path.partition("/user/repo/resolve/")
        revision, _, name = rest.partition("/")
        file = self.folder / name
        if start or revision not in (*BRANCHES, self.commit):
            handler.send_response(404)
            handler.send_header("X-Error-Code", "RevisionNotFound")
        elif not file.is_file():
            handler.send_response(404)
            handler.send_header("X-Error-Code", "EntryNotFound")
        elif self.redirect and name.endswith(".h5") and "?" not in handler.path:
            handler.send_response(302)
            handler.send_header("Location", self.redirect)
            handler.send_header("X-Linked-Etag", '"weights"')
            handler.send_header("X-Linked-Size", str(file.stat().st_size))
            handler.send_header("X-Repo-Commit", self.commit)
            handler.send_header("Content-Length", "0")
        else:
            handler.send_response(200)
            handler.send_header("ETag", f'"{name}-{file.stat().st_mtime_ns}"')
            handler.send_header("X-Repo-Commit", self.commit)
            handler.send_header("Content-Length", str(file.stat().st_size))
            handler.end_headers()
            if handler.command == "GET":
                handler.wfile.write(file.read_bytes())
            return True
        handler.end_headers()
        return True


def same(model, other):
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
