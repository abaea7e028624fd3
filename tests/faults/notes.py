"""A server of notes that are kept in a file. After a start it fails for so many seconds, if there are notes already:
python3 notes.py PORT SECONDS. One that is careless says that a note is kept when it could not be written:
python3 notes.py PORT SECONDS careless"""

import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT, LAME = int(sys.argv[1]), float(sys.argv[2])
CARELESS = sys.argv[3:] == ["careless"]
NOTES = json.load(open("notes.json")) if os.path.exists("notes.json") else {}
LOCK = threading.Lock()
WELL = time.monotonic() + (LAME if NOTES else 0)


def keep(notes):
    try:
        with open("notes.new", "w") as file:
            json.dump(notes, file)
        os.replace("notes.new", "notes.json")
    except OSError:
        return False
    NOTES.update(notes)
    return True


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        size = int(self.headers.get("Content-Length") or 0)
        text = json.loads(self.rfile.read(size))["text"]
        if time.monotonic() < WELL:
            return self.answer(500, {"error": "not yet"})
        with LOCK:
            key = str(len(NOTES) + 1)
            kept = keep({**NOTES, key: text})
        self.answer(201, {"id": key}) if kept or CARELESS else self.answer(507, {"error": "there is no room"})

    def do_GET(self):
        if time.monotonic() < WELL and self.path != "/":
            return self.answer(500, {"error": "not yet"})
        key = self.path.split("/")[-1]
        if key in NOTES:
            return self.answer(200, {"text": NOTES[key]})
        self.answer(404, {"error": "there is no such note"})

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
