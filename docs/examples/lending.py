"""The server of the lending examples: Python 3, standard library only.

    python3 lending.py [PORT]           a sound server
    QUEUES=no python3 lending.py        sound, and nobody waits for a book: what lending.yaml describes
    BUG=third_book python3 lending.py   with a bug planted: see BUGS
"""

import json
import os
import secrets
import sys
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

BUGS = {
    "return_by_anyone": "a book can be given back by somebody who does not have it",
    "third_book": "the limit of two books is off by one",
    "queue_skipped": "when a book comes back, whoever is next in the queue does not get it",
    "email_shown": "profiles show their e-mail address to everybody",
    "unindexed": "a book without a number of pages is never found by search",
    "crash_on_long_title": "a title of 80 characters is a 500",
}
BUG = os.environ.get("BUG", "")
LOCK = threading.Lock()
MEMBERS, TOKENS, BOOKS, REMOVED, INDEX = {}, {}, {}, set(), {}


class Refused(Exception):
    def __init__(self, status, **body):
        self.status, self.body = status, body


def index(book, title):
    """Search follows a little later, as search engines do."""
    threading.Timer(0.1, INDEX.__setitem__, (book, title)).start()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet an answer
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def handle_any(self):
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        headers = {}
        try:
            with LOCK:
                status, body = self.route(raw, headers)
        except Refused as refused:
            status, body = refused.status, refused.body
        text = b"" if status == 204 else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PATCH = do_DELETE = handle_any

    def route(self, raw, headers):
        url = urlsplit(self.path)
        query = {k: v[0] for k, v in parse_qs(url.query).items()}
        match [self.command, *url.path.strip("/").split("/")]:
            case ["GET", "health"]:
                return 200, {}
            case ["POST", "members"]:
                data = self.data(raw)
                name, email = text(data, "name", 1, 60), data.get("email")
                member = {"id": str(uuid.uuid4()), "name": name, "email": email}
                token = secrets.token_urlsafe(24)
                MEMBERS[member["id"]], TOKENS[token] = member, member["id"]
                return 201, {"id": member["id"], "token": token}
            case ["GET", "members", other]:
                me, other = self.me(), find(MEMBERS, other)
                mine = [b["id"] for b in BOOKS.values() if b["borrower"] == other["id"]]
                shown = {"id": other["id"], "name": other["name"], "borrowed": mine}
                if me == other["id"] or BUG == "email_shown":
                    shown["email"] = other["email"]
                return 200, shown
            case ["POST", "books"]:
                me, data = self.me(), self.data(raw)
                book = {
                    "id": str(uuid.uuid4()),
                    "owner": me,
                    "title": text(data, "title", 1, 80),
                    "pages": whole(data.get("pages"), 1, 5000),
                    "borrower": None,
                    "queue": [],
                }
                BOOKS[book["id"]] = book
                if BUG != "unindexed" or book["pages"]:
                    index(book["id"], book["title"])
                headers["Location"] = "/books/" + book["id"]
                return 201, shown_book(book)
            case ["GET", "books"]:
                limit = whole(query.get("limit", "100"), 1, 100)
                owner = find(MEMBERS, query.get("owner"))
                of = [b for b in BOOKS.values() if b["owner"] == owner["id"]]
                return 200, {"items": [shown_book(b) for b in of[:limit]]}
            case ["GET", "search"]:
                wanted = query.get("title")
                return 200, {"items": [{"id": b} for b, t in INDEX.items() if t == wanted and b in BOOKS]}
            case ["GET", "books", book]:
                self.me()
                return 200, shown_book(find(BOOKS, book))
            case ["PATCH", "books", book]:
                me, book = self.me(), find(BOOKS, book)
                title = text(self.data(raw), "title", 1, 80)
                own(book, me)
                book["title"] = title
                if BUG != "unindexed" or book["pages"]:
                    index(book["id"], title)
                return 200, shown_book(book)
            case ["DELETE", "books", book]:
                me, book = self.me(), find(BOOKS, book)
                own(book, me)
                if book["borrower"]:
                    raise Refused(409, error="it is lent")
                del BOOKS[book["id"]]
                REMOVED.add(book["id"])
                return 204, None
            case ["POST", "books", book, "borrow"]:
                return borrow(self.me(), find(BOOKS, book))
            case ["POST", "books", book, "return"]:
                return give_back(self.me(), find(BOOKS, book))
        raise Refused(404, error="no such route")

    def me(self):
        kind, _, token = self.headers.get("Authorization", "").partition(" ")
        if kind != "Bearer" or token not in TOKENS:
            raise Refused(401, error="who are you?")
        return TOKENS[token]

    def data(self, raw):
        try:
            data = json.loads(raw)
        except ValueError:
            raise Refused(400, error="not JSON")
        if not isinstance(data, dict):
            raise Refused(422, error="not an object")
        return data


def borrow(me, book):
    if book["owner"] == me:
        raise Refused(403, error="it is yours")
    if book["borrower"] == me or me in book["queue"]:
        raise Refused(409, error="you have it, or wait for it")
    most = 3 if BUG == "third_book" else 2
    if sum(b["borrower"] == me for b in BOOKS.values()) >= most:
        raise Refused(409, error="two at most", limit=2)
    if book["borrower"] is None:
        book["borrower"] = me
        return 200, shown_book(book)
    if os.environ.get("QUEUES", "yes") == "no":
        raise Refused(409, error="it is lent")
    book["queue"].append(me)
    return 202, {"place": len(book["queue"])}


def give_back(me, book):
    if book["borrower"] != me and not (BUG == "return_by_anyone" and book["borrower"]):
        raise Refused(403, error="you do not have it")
    book["borrower"] = None
    if book["queue"] and BUG != "queue_skipped":
        book["borrower"] = book["queue"].pop(0)
    return 200, shown_book(book)


def find(table, key):
    if key in table:
        return table[key]
    raise Refused(410 if key in REMOVED else 404, error="not found")


def own(book, me):
    if book["owner"] != me:
        raise Refused(403, error="it is not yours")


def text(data, name, least, most):
    value = data.get(name)
    if not isinstance(value, str) or not least <= len(value) <= most:
        raise Refused(422, error=f"{name} has {least} to {most} characters")
    if BUG == "crash_on_long_title" and len(value) == 80:
        raise Refused(500, error="Internal Server Error")
    return value


def whole(value, least, most):
    if value is None:
        return None
    if isinstance(value, str):
        value = int(value) if value.lstrip("-").isdigit() else None
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise Refused(422, error=f"a number from {least} to {most}")
    return value


def shown_book(book):
    shown = {name: book[name] for name in ("id", "title", "pages")}
    return shown | {"lent": book["borrower"] is not None, "waiting": len(book["queue"])}


if __name__ == "__main__":
    if BUG and BUG not in BUGS:
        sys.exit(f"no bug {BUG}; there are {', '.join(BUGS)}")
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8077
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
