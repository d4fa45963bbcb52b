"""Calls that wait for something outside of this process, and awaits that do not.

Sources: the libraries' own documentation; [py] https://docs.python.org/3/library/
"""

from __future__ import annotations

# Beginning of a full name -> what is waited for. The longest beginning wins.
WAITS: dict[str, str] = {
    "requests.get": "an HTTP request",  # https://requests.readthedocs.io/
    "requests.post": "an HTTP request",
    "requests.put": "an HTTP request",
    "requests.patch": "an HTTP request",
    "requests.delete": "an HTTP request",
    "requests.head": "an HTTP request",
    "requests.request": "an HTTP request",
    "requests.Session.": "an HTTP request",
    "requests.session.": "an HTTP request",
    "httpx.get": "an HTTP request",  # https://www.python-httpx.org/api/
    "httpx.post": "an HTTP request",
    "httpx.put": "an HTTP request",
    "httpx.patch": "an HTTP request",
    "httpx.delete": "an HTTP request",
    "httpx.request": "an HTTP request",
    "httpx.stream": "an HTTP request",
    "httpx.Client.": "an HTTP request",
    "httpx.AsyncClient.": "an HTTP request",
    "aiohttp.ClientSession.": "an HTTP request",  # https://docs.aiohttp.org/
    "aiohttp.request": "an HTTP request",
    "urllib.request.urlopen": "an HTTP request",  # [py]
    "urllib3.PoolManager.": "an HTTP request",
    "time.sleep": "a sleep",  # [py]
    "asyncio.sleep": "a sleep",
    "anyio.sleep": "a sleep",
    "trio.sleep": "a sleep",
    "subprocess.run": "a subprocess",  # [py]
    "subprocess.call": "a subprocess",
    "subprocess.check_call": "a subprocess",
    "subprocess.check_output": "a subprocess",
    "subprocess.Popen.": "a subprocess",
    "asyncio.create_subprocess_exec": "a subprocess",
    "asyncio.create_subprocess_shell": "a subprocess",
    "os.system": "a subprocess",
    "smtplib.SMTP": "a mail server",  # [py]
    "smtplib.SMTP_SSL": "a mail server",
    "aiosmtplib.": "a mail server",
    "boto3.client.": "an AWS call",  # https://boto3.amazonaws.com/
    "boto3.resource.": "an AWS call",
    "stripe.": "a payment provider",  # https://docs.stripe.com/api
    "openai.OpenAI.": "a language model",  # https://platform.openai.com/docs
    "openai.AsyncOpenAI.": "a language model",
    "anthropic.Anthropic.": "a language model",
    "anthropic.AsyncAnthropic.": "a language model",
    "litellm.completion": "a language model",
    "litellm.acompletion": "a language model",
    "paramiko.": "an SSH connection",
    "docker.": "the Docker daemon",
    "kubernetes.client.": "the Kubernetes API",
    "ldap.": "an LDAP server",
}

# Awaits of these are no step outside of the process, or none that lets the data change in a way we could judge.
NO_WAIT: tuple[str, ...] = (
    "asyncio.Lock",
    "asyncio.Semaphore",
    "asyncio.Event",
    "asyncio.Queue",
    "asyncio.Condition",
    "asyncio.gather",
    "asyncio.wait",
    "asyncio.create_task",
    "asyncio.to_thread",
    "anyio.Lock",
    "fastapi.Request",  # the request's own body
    "fastapi.UploadFile",
    "starlette.requests.Request",
    "starlette.datastructures.UploadFile",
    "fastapi.WebSocket.accept",
    "sqlalchemy.",
    "sqlmodel.",
    "aiofiles.",
    "inspect.",
)
