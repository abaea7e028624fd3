"""Takes from a server of notes the room to write in, kills it, and starts it again, as gainsay says:
python3 room.py COMMAND, which starts the server. A word more is what is wrong with it: python3 room.py COMMAND mute"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request

COMMAND, WRONG = sys.argv[1], sys.argv[2:]
BROKEN = []


def inject(fault):
    if WRONG == ["clumsy"]:
        return {"error": "the key to the room is lost"}
    if fault == "no_room":
        os.makedirs("notes.new")
    else:
        os.kill(int(open("pid").read()), signal.SIGKILL)
    BROKEN.append(fault)
    return {}


def heal():
    fired = bool(BROKEN)
    if "no_room" in BROKEN:
        shutil.rmtree("notes.new", ignore_errors=True)
    if "crash" in BROKEN:
        with open("pid", "w") as file:
            quiet = subprocess.DEVNULL
            server = subprocess.Popen(COMMAND.split(), stdin=quiet, stdout=quiet, stderr=quiet)
            file.write(str(server.pid))
        wait()
    BROKEN.clear()
    return {"fired": fired}


def wait():
    for _ in range(200):
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{COMMAND.split()[2]}/")
        except urllib.error.HTTPError:
            return None
        except OSError:
            time.sleep(0.05)


def obey(order):
    if order["do"] == "describe":
        return {"faults": [{"name": "no_room"}, {"name": "crash"}]}
    return inject(order["fault"]) if order["do"] == "inject" else heal()


for line in sys.stdin:
    if WRONG == ["mute"]:
        break
    print("what?" if WRONG == ["garbled"] else json.dumps(obey(json.loads(line))), flush=True)
heal()
