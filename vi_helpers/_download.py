"""Fetch one file of known size over HTTP, with an end to everything: time, size, silence.

_mnist_files is the way in.
"""

import sys
import threading
import time

# Seconds until the first byte of the body, without a further byte, and for the whole file.
CONNECT_S, SILENCE_S, WHOLE_S = 10, 10, 600
CHUNK = 2**16


def fetch(url, name, size):
    """The body of url as it travels, undecoded, at most size bytes; name is for the progress bar.

    It is held in memory, so a killed download leaves nothing on disk. A thread reads, so that no
    server can hold us longer than the deadlines, whatever it drips: address, header or body.
    Raises TimeoutError past a deadline, ValueError when more than size bytes come, and what
    requests raises for a connection that fails.
    """
    reader = _Reader(url, size)
    bar = _Bar(name, size)
    start = last = time.monotonic()
    seen = 0
    reader.thread.start()
    try:
        while not reader.done.wait(0.05):
            now = time.monotonic()
            if len(reader.body) > seen:
                seen, last = len(reader.body), now
                bar.show(seen)
            if not seen and now - start > CONNECT_S:
                raise TimeoutError(f"timed out: no data within {CONNECT_S:g} s")
            if seen and now - last > SILENCE_S:
                raise TimeoutError(f"timed out: {seen} of {size} bytes, then {SILENCE_S:g} s none")
            if now - start > WHOLE_S:
                raise TimeoutError(f"timed out: {seen} of {size} bytes within {WHOLE_S:g} s")
        if reader.error:
            raise reader.error
        bar.show(len(reader.body))
    finally:
        reader.stop()
        bar.close()
    return bytes(reader.body)


class _Reader:
    """Reads a body on a thread of its own; done is set at its end, error says how it failed."""

    def __init__(self, url, size):
        self.url, self.size = url, size
        self.body, self.error, self.response = bytearray(), None, None
        self.done, self.stopped = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        import requests

        try:
            headers = {"Accept-Encoding": "identity"}
            timeouts = (CONNECT_S, SILENCE_S)
            with requests.get(self.url, stream=True, timeout=timeouts, headers=headers) as response:
                self.response = response
                response.raise_for_status()
                # raw: a body that calls itself compressed is neither unpacked nor refused
                while chunk := response.raw.read1(CHUNK, decode_content=False):
                    self.body += chunk
                    if len(self.body) > self.size:
                        raise ValueError(f"more than the expected {self.size} bytes")
                    if self.stopped.is_set():
                        return
        except Exception as error:  # handed to the thread that waits
            self.error = error
        finally:
            self.done.set()

    def stop(self):
        """Let a reader that is still at work end soon; nobody waits for it."""
        self.stopped.set()


class _Bar:
    """A progress bar on stdout, since stored notebooks hold no stderr, and only once bytes come,
    so that a dead mirror draws none."""

    def __init__(self, name, size):
        self.name, self.size, self.bar = name, size, None

    def show(self, count):
        from tqdm import tqdm

        if self.bar is None and count:
            self.bar = tqdm(
                total=self.size, desc=self.name, unit="B", unit_scale=True, file=sys.stdout
            )
        if self.bar is not None:
            self.bar.update(count - self.bar.n)

    def close(self):
        if self.bar is not None:
            self.bar.close()
