"""A real HTTP server of files in memory, in a thread, with the faults that a test sets."""

import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PIECE = 2**14


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        asked = self.headers.get("Range")
        with server.lock:
            server.asked.append((self.path, asked))
        if server.refusals:
            return self.refuse(server.refusals.pop(0))
        if self.path not in server.files:
            return self.refuse(404)
        content = server.files[self.path]
        start, end = 0, len(content)
        if asked and server.ranges:
            first, last = re.fullmatch(r"bytes=(\d+)-(\d+)", asked).groups()
            start, end = int(first), min(int(last) + 1, end)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(content)}")
        else:
            self.send_response(200)
        if server.etag:
            self.send_header("ETag", server.etag)
        if server.tells_size:
            self.send_header("Content-Length", str(end - start))
        self.send_header("Connection", "close")
        self.close_connection = True
        self.end_headers()
        self.send(content[start:end])

    def refuse(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def send(self, content):
        server = self.server
        for start in range(0, len(content), PIECE):
            server.gate.wait()
            with server.lock:
                if server.cuts and server.sent >= server.cut_after:
                    server.sent, server.cuts = 0, server.cuts - 1
                    if not server.cuts and server.then_refuse:
                        server.refusals = [server.then_refuse] * 100
                    return
                server.sent += PIECE
                if server.hold_after and server.sent >= server.hold_after:
                    server.gate.clear()
            try:
                self.wfile.write(content[start : start + PIECE])
            except OSError:
                return

    def log_message(self, *_):
        pass


class FileServer(ThreadingHTTPServer):
    """``cuts`` times the connection is closed after ``cut_after`` bytes, then ``then_refuse``.

    ``refusals`` are the statuses of the next answers. After ``hold_after`` bytes the ``gate`` is
    closed, and nothing is sent any more. ``asked`` is what was asked for: (path, Range).
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock, self.gate = threading.Lock(), threading.Event()
        self.gate.set()
        self.files, self.asked, self.refusals = {}, [], []
        self.ranges, self.tells_size, self.etag = True, True, '"one"'
        self.cut_after, self.cuts, self.then_refuse = 0, 0, None
        self.hold_after, self.sent = None, 0

    def put(self, name, content):
        """The address of a new file."""
        self.files[f"/{name}"] = content
        return f"http://127.0.0.1:{self.server_port}/{name}"

    def handle_error(self, *_):
        pass


@contextmanager
def running():
    server = FileServer()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.gate.set()
        server.shutdown()
        server.server_close()
