"""The reference of every ratio: the shortest Flask + requests passthrough. No users, no log, no metering."""
import os

import requests
from flask import Flask, Response, request

UPSTREAM = os.environ["API_URL"]
DROPPED = {"host", "connection", "content-length", "transfer-encoding", "authorization"}

app = Flask(__name__)
session = requests.Session()
session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=4096))


@app.route("/v1/<path:path>", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
def v1(path):
    """Pass one request on."""
    headers = {name: value for name, value in request.headers if name.lower() not in DROPPED}
    headers["Authorization"] = "Bearer shared-key"
    answer = session.request(
        request.method, UPSTREAM + request.full_path.rstrip("?"), headers=headers,
        data=request.get_data(), stream=True, allow_redirects=False,
    )  # fmt: skip
    kept = [(name, value) for name, value in answer.raw.headers.items() if name.lower() not in DROPPED]
    return Response(answer.raw.stream(65536, decode_content=False), answer.status_code, kept)
