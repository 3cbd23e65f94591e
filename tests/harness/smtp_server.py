"""A real SMTP server (aiosmtpd) for the tests: `smtp_server.py FOLDER PORT SECURITY [USER PASSWORD]`.

SECURITY is `plain`, `starttls` or `smtps`; the last two read `certificate.pem` and `key.pem` in FOLDER. Messages go to
the Maildir `FOLDER/mail`, and each connection adds a line to `FOLDER/connections`. Recipients whose address begins with
`nobody` are refused for good, those with `busy` for now.
"""

import pathlib
import ssl
import sys
import threading

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Mailbox
from aiosmtpd.smtp import SMTP, AuthResult


class Handler(Mailbox):
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody"):
            return "550 5.1.1 nobody of that name"
        if address.startswith("busy"):
            return "451 4.7.1 greylisted, come back"
        envelope.rcpt_tos.append(address)
        return "250 fine"


class Server(SMTP):
    async def _handle_client(self):
        # Once a connection, and once more when it has begun to speak TLS.
        with open(folder / "connections", "a", encoding="ascii") as connections:
            connections.write("connected\n")
        await super()._handle_client()


folder, port, security = pathlib.Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
login = tuple(text.encode() for text in sys.argv[4:6])
context = None
if security != "plain":
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")


def authenticate(server, session, envelope, mechanism, data):
    return AuthResult(success=(data.login, data.password) == login, handled=False)


class Listener(Controller):
    def factory(self):
        return Server(
            self.handler,
            hostname="localhost",
            tls_context=context if security == "starttls" else None,
            require_starttls=security == "starttls",
            authenticator=authenticate if login else None,
            auth_required=bool(login),
            auth_require_tls=security == "starttls",
        )


listener = Listener(
    Handler(folder / "mail"),
    hostname="127.0.0.1",
    port=port,
    ssl_context=context if security == "smtps" else None,
    ready_timeout=20,
)
listener.start()
print("ready", flush=True)
threading.Event().wait()
