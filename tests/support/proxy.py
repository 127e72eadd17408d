"""A proxy for tests: SOCKS 5 and HTTP CONNECT on one port of 127.0.0.1, with or without a login, or one that misbehaves."""

import base64
import select
import socket
import threading

HOSTILE = {
    "silent": b"",
    "endless": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100000,
    "noise": b"\x00\xff" * 5000,
}


class Proxy:
    """names: {host name: address} that only the proxy can look up. login: (user, password). refuses: answers every request
    with its word for 'not allowed'. hostile: a key of HOSTILE. holds: so many connections, the first ones, get no answer of their
    server before release()."""

    def __init__(self, login=None, names=None, refuses=False, hostile=None, holds=0):
        self.login, self.names, self.refuses, self.hostile = login, names or {}, refuses, hostile
        self.holds, self.released = holds, threading.Event()
        self.opened = []  # "host:port" of what was opened
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.ending = False
        threading.Thread(target=self._serve, daemon=True).start()

    def release(self):
        self.released.set()

    def stop(self):
        self.ending = True
        self.released.set()
        self.listener.close()

    def url(self, scheme, login=None):
        return "%s://%s127.0.0.1:%d" % (scheme, "%s:%s@" % login if login else "", self.port)

    def _serve(self):
        while not self.ending:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._client, args=(client,), daemon=True).start()

    def _client(self, client):
        try:
            with client:
                if self.hostile:
                    self._misbehave(client)
                elif client.recv(1, socket.MSG_PEEK) == b"\x05":
                    self._socks(client)
                else:
                    self._http(client)
        except (OSError, EOFError):
            pass

    def _misbehave(self, client):
        client.recv(1)
        client.sendall(HOSTILE[self.hostile])
        while client.recv(4096):
            pass

    @staticmethod
    def _exactly(client, count):
        data = b""
        while len(data) < count:
            more = client.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def _connect(self, host, port):
        self.opened.append("%s:%d" % (host, port))
        if len(self.opened) <= self.holds:
            self.released.wait()
        return socket.create_connection((self.names.get(host, host), port), 20)

    def _socks(self, client):
        methods = self._exactly(client, self._exactly(client, 2)[1])
        if (2 if self.login else 0) not in methods:
            client.sendall(b"\x05\xff")
            return
        client.sendall(b"\x05\x02" if self.login else b"\x05\x00")
        if self.login:
            user = self._exactly(client, self._exactly(client, 2)[1]).decode()
            password = self._exactly(client, self._exactly(client, 1)[0]).decode()
            if (user, password) != self.login:
                client.sendall(b"\x01\x01")
                return
            client.sendall(b"\x01\x00")
        kind = self._exactly(client, 4)[3]
        if kind == 3:
            host = self._exactly(client, self._exactly(client, 1)[0]).decode()
        else:
            host = socket.inet_ntop(socket.AF_INET if kind == 1 else socket.AF_INET6,
                                    self._exactly(client, 4 if kind == 1 else 16))
        port = int.from_bytes(self._exactly(client, 2), "big")
        if self.refuses:
            client.sendall(b"\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00")
            return
        try:
            server = self._connect(host, port)
        except OSError:
            client.sendall(b"\x05\x04\x00\x01\x00\x00\x00\x00\x00\x00")
            return
        client.sendall(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
        self._pump(client, server)

    def _http(self, client):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self._exactly(client, 1)
        lines = head.decode().split("\r\n")
        wanted = self.login and "Proxy-Authorization: Basic " + base64.b64encode(":".join(self.login).encode()).decode()
        if wanted and wanted not in lines:
            client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            return
        host, _, port = lines[0].split(" ")[1].rpartition(":")
        if self.refuses:
            client.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n")
            return
        try:
            server = self._connect(host.strip("[]"), int(port))
        except OSError:
            client.sendall(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
            return
        client.sendall(b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")
        self._pump(client, server)

    @staticmethod
    def _pump(client, server):
        with server:
            other = {client: server, server: client}
            while True:
                for one in select.select([client, server], [], [])[0]:
                    data = one.recv(65536)
                    if not data:
                        return
                    other[one].sendall(data)
