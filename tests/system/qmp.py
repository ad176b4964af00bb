# SPDX-License-Identifier: GPL-2.0-or-later
"""A client of control sockets, for commands of QMP that no command of doppel sends, and for events."""

import json
import socket


class Qmp:
    """A session of the control socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(path)
        self.file = self.socket.makefile("rw", encoding="utf-8", newline="\n")
        self.events = []
        assert "QMP" in self.read()
        self.do("qmp_capabilities")

    def read(self):
        line = self.file.readline()
        if not line:
            raise EOFError("the machine hung up")
        return json.loads(line)

    def answer(self, command, arguments):
        self.file.write(json.dumps({"execute": command, "arguments": arguments, "id": 7}))
        self.file.flush()
        while True:
            message = self.read()
            if "event" in message:
                self.events.append(message)
                continue
            assert message["id"] == 7, message
            return message

    def do(self, command, **arguments):
        message = self.answer(command, arguments)
        assert "return" in message, message
        return message["return"]

    def refused(self, command, **arguments):
        """Why a command fails, in the machine's words."""
        message = self.answer(command, arguments)
        assert "error" in message, (command, arguments, message)
        return message["error"]["desc"]

    def event(self, name):
        """The next event of that name; those before it are forgotten."""
        while True:
            while self.events:
                message = self.events.pop(0)
                if message["event"] == name:
                    return message
            self.events.append(self.read())

    def close(self):
        self.file.close()
        self.socket.close()
