"""Robyn with pydantic's models: `python -m benchmarks.peers.robyn_pydantic --log-level WARN`, at PORT.

One process with one worker is its default; its server of Rust has threads of its own beside it. Annotations are not
put off here: Robyn takes a model for one only when it finds the class itself.
"""

import os
import signal

from robyn import Robyn

from benchmarks.peers.models import ROWS, Query, Quote, Quotes

app = Robyn(__file__)


@app.post("/echo")
async def echo(quote: Quote) -> Quote:
    return quote


@app.post("/search")
async def search(query: Query) -> Quotes:
    return Quotes(items=ROWS[: query.count])


@app.startup_handler
async def say_ready() -> None:
    print("ready", flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a shell started in the background
    app.start(host="127.0.0.1", port=int(os.environ["PORT"]))
