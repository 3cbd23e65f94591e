"""Verifies a received webhook with the official library. Reads JSON from standard input: the secret, the headers, the
body in base64. Ends with 0 when it is genuine."""

import base64
import json
import sys

from standardwebhooks.webhooks import Webhook

asked = json.load(sys.stdin)
Webhook(asked["secret"]).verify(base64.b64decode(asked["body"]), asked["headers"])
