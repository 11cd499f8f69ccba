"""The demo worker goes on whoever goes away, as a ComfyUI does."""

import asyncio

from aiohttp import ClientSession, web

from sandbox.comfy_worker.server import Server

GRAPH = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "color": 1}},
    "2": {"class_type": "DemoSleep", "inputs": {"image": ["1", 0], "seconds": 0.0}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "a"}},
}


class Gone:
    """A listener whose connection is lost, which nobody has noticed yet."""

    closed = False

    async def send_json(self, said):
        raise ConnectionResetError("Cannot write to closing transport")

    send_bytes = send_json


def test_a_listener_that_is_gone_does_not_stop_the_work(tmp_path):
    async def worked():
        server = Server(tmp_path, api_base="http://nobody.test", token="")
        server._sockets["gone"] = Gone()
        runner = web.AppRunner(server.app())
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        base = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
        try:
            async with asyncio.timeout(60), ClientSession(base) as session:
                sent = {"prompt": GRAPH, "prompt_id": "one", "client_id": "gone"}
                async with session.post("/prompt", json=sent) as answer:
                    assert answer.status == 200
                while True:
                    async with session.get("/history/one") as answer:
                        if found := await answer.json():
                            return found["one"]["status"]["status_str"]
                    await asyncio.sleep(0.05)
        finally:
            await runner.cleanup()

    assert asyncio.run(worked()) == "success"
