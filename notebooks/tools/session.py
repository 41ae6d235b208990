"""One kernel, spoken to directly: for measurements and tests that need no notebook."""

import os
import subprocess
import time
from dataclasses import dataclass, field

from jupyter_client.manager import KernelManager

from project import KERNEL, jupyter_environment


@dataclass
class Reply:
    """What one cell did."""

    seconds: float = 0.0
    seconds_to_first_output: float = 0.0
    text: str = ""
    stderr: str = ""
    error: str = ""
    data: dict = field(default_factory=dict)


class Session:
    """A kernel from start to shutdown: `with Session() as kernel: kernel.run("1 + 1")`.

    `environment` is added to the kernel's own; a value None takes a variable of the kernel spec away.
    """

    def __init__(self, startup=120, **environment):
        self.startup = startup
        self.manager = KernelManager(kernel_name=KERNEL)
        spec = self.manager.kernel_spec.env
        for name, value in environment.items():
            spec.pop(name, None)
            if value is not None:
                spec[name] = value

    def __enter__(self):
        environment = {**os.environ, **jupyter_environment()}
        self.manager.start_kernel(env=environment, stdout=subprocess.DEVNULL)
        self.client = self.manager.client()
        self.client.start_channels()
        try:
            self.client.wait_for_ready(timeout=self.startup)
        except RuntimeError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def run(self, code, timeout=300):
        """Executes one cell to its end."""
        reply = Reply()
        started = time.monotonic()

        def see(message):
            kind, content = message["msg_type"], message["content"]
            if kind in ("stream", "display_data", "execute_result") and not reply.seconds_to_first_output:
                reply.seconds_to_first_output = time.monotonic() - started
            if kind == "stream" and content["name"] == "stdout":
                reply.text += content["text"]
            elif kind == "stream":
                reply.stderr += content["text"]
            elif kind in ("display_data", "execute_result"):
                reply.data.update(content["data"])
            elif kind == "error":
                reply.error = content["evalue"] or "\n".join(content["traceback"])

        self.client.execute_interactive(code, output_hook=see, timeout=timeout, allow_stdin=False)
        reply.seconds = time.monotonic() - started
        return reply
