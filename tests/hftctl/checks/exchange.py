"""A public door small enough to misbehave on purpose: one price, one account, and faults that a real stack hides."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Exchange:
    def __init__(self):
        self.orders = {}  # order_id -> order
        self.by_client = {}
        self.answers = []  # (status, body) given to the next POSTs instead of an order
        self.health = []  # the same for GET /health/ready
        self.matches = True
        self.cancels = 0
        self.keys = set()

    def place(self, body):
        if body["client_order_id"] in self.by_client:
            return 200, self.orders[self.by_client[body["client_order_id"]]]
        partition = body["symbol"].partition(".")[2]
        order_id = f"{partition}-{len(self.orders) + 1}"
        order = {**body, "order_id": order_id, "status": "open", "filled_quantity": "0", "fills": []}
        self.orders[order_id], self.by_client[body["client_order_id"]] = order, order_id
        resting = [o for o in self.orders.values() if o["status"] == "open" and o["side"] != body["side"]]
        if resting and self.matches:
            for one, liquidity in ((resting[0], "maker"), (order, "taker")):
                fill = {"trade_id": f"{partition}-1", "price": "100.00", "quantity": "1", "liquidity": liquidity}
                one |= {"status": "filled", "filled_quantity": "1", "fills": [fill]}
        return 201, order

    def rows(self, _partition, orders):
        """Fills as PostgreSQL would have them, numbers in another notation."""
        return [
            {**fill, "order_id": order_id, "price": "100", "quantity": "1.000"}
            for order_id, order in self.orders.items()
            for fill in order["fills"]
            if int(order_id.partition("-")[2]) in orders
        ]

    def answer(self, method, path, body):
        if method == "DELETE":
            self.cancels += 1
            open_orders = [o for o in self.orders.values() if o["status"] == "open"]
            for order in open_orders:
                order["status"] = "cancelled"
            return 200, {"cancelled": len(open_orders)}
        if path == "/health/ready":
            return self.health.pop(0) if self.health else (200, {"status": "ready"})
        if method == "POST":
            return self.answers.pop(0) if self.answers else self.place(json.loads(body))
        return 200, self.orders[path.removeprefix("/orders/")]


@contextmanager
def serving(exchange):
    """Base URL of the exchange on a free port of loopback."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _do(self):
            exchange.keys.add(self.headers.get("Authorization"))
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, answer = exchange.answer(self.command, self.path.partition("?")[0], body)
            data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = _do

        def log_message(self, *_arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
