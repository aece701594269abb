"""The proxy one writes in an afternoon: Starlette and httpx, one process, one key, no split.

Called as `plain_proxy.py PORT BACKEND_PORT KEY_VARIABLE`.
"""

import os
import sys

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

HOP_BY_HOP = {"connection", "content-length", "host", "authorization", "transfer-encoding"}


def application(backend_port: int, key: str) -> Starlette:
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=100)
    client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{backend_port}", limits=limits)

    async def forward(request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {key}":
            return Response(status_code=401)
        headers = {k: v for k, v in request.headers.items() if k not in HOP_BY_HOP}
        path = "/" + request.path_params["path"]
        body = await request.body()
        found = await client.request(request.method, path, content=body, headers=headers)
        kept = {k: v for k, v in found.headers.items() if k not in HOP_BY_HOP}
        return Response(found.content, found.status_code, kept)

    return Starlette(routes=[Route("/endpoints/iris/{path:path}", forward, methods=["POST"])])


if __name__ == "__main__":
    app = application(int(sys.argv[2]), os.environ[sys.argv[3]])
    uvicorn.run(app, port=int(sys.argv[1]), log_level="error", access_log=False, lifespan="off")
