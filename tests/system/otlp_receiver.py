"""The far side of OTLP over HTTP, as a program: writes each span that comes as a line of JSON.

`python otlp_receiver.py PORT FILE`, with OpenTelemetry's own messages on the path.
"""

from __future__ import annotations

import gzip
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            content = gzip.decompress(content)
        asked = ExportTraceServiceRequest.FromString(content)
        with Path(sys.argv[2]).open("a") as file:
            for of_program in asked.resource_spans:
                resource = MessageToDict(of_program.resource)
                for scope in of_program.scope_spans:
                    for each in scope.spans:
                        span = MessageToDict(each)
                        # As text: in JSON of protobuf they are base64.
                        ids = {"trace": each.trace_id, "id": each.span_id}
                        ids["parent"] = each.parent_span_id
                        hexed = {name: value.hex() for name, value in ids.items()}
                        line = {**span, **hexed, "path": self.path, "resource": resource}
                        file.write(json.dumps(line) + "\n")
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
