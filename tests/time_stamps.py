"""A real time-stamp server for tests: `openssl ts` behind HTTP, with certificates of its own."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_CONFIG = """
[req]
distinguished_name = name
prompt = no
[name]
CN = {name}
[root]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign
[server]
basicConstraints = CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
[tsa]
default_tsa = here
[here]
serial = {folder}/serial
signer_cert = {folder}/server.pem
signer_key = {folder}/server.key
certs = {folder}/root.pem
signer_digest = {digest}
default_policy = 1.2.3.4.1
digests = sha256, sha512
accuracy = secs:1
ordering = no
tsa_name = no
ess_cert_id_chain = no
"""


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def make_server(folder: Path, name: str, digest: str = "sha256") -> Path:
    """Keys and certificates of a server that signs by a digest; its root certificate."""
    folder.mkdir()
    (folder / "conf").write_text(_CONFIG.format(name=name, folder=folder, digest=digest))
    (folder / "serial").write_text("01")
    new = ("req", "-newkey", "rsa:2048", "-nodes", "-config", "conf")
    root = ("-x509", "-extensions", "root", "-days", "3650")
    _openssl(folder, *new, *root, "-keyout", "root.key", "-out", "root.pem")
    _openssl(
        folder, *new, "-keyout", "server.key", "-out", "server.csr", "-subj", f"/CN={name} TSA"
    )
    sign = ("x509", "-req", "-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial")
    extra = ("-extfile", "conf", "-extensions", "server", "-days", "3650")
    _openssl(folder, *sign, *extra, "-in", "server.csr", "-out", "server.pem")
    return folder / "root.pem"


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The server of a folder of `make_server`, while the block runs; its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = folder / "query.tsq"
            query.write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
            reply = ("ts", "-reply", "-config", "conf", "-section", "here")
            _openssl(folder, *reply, "-queryfile", "query.tsq", "-out", "reply.tsr")
            data = (folder / "reply.tsr").read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
