"""Calls that wait for something outside of this process, and awaits that do not.

Sources: the libraries' own documentation, named at their first line; [py] https://docs.python.org/3/library/
"""

from __future__ import annotations

HTTP, SLEEP, PROCESS, MAIL = "an HTTP request", "a sleep", "a subprocess", "a mail server"
MODEL, AWS, STORE, PAYMENT = "a language model", "an AWS call", "an object store", "a payment provider"
PERSON, CHAT, HOST, TASK = "a person's answer", "a messaging service", "another machine", "a task's result"
SEARCH = "a search server"

# Full name -> what is waited for. A name that ends in a dot stands for everything that begins so: the methods of an
# object, reached by whatever attributes. The longest beginning wins.
WAITS: dict[str, str] = {
    "requests.get": HTTP,  # https://requests.readthedocs.io/
    "requests.post": HTTP,
    "requests.put": HTTP,
    "requests.patch": HTTP,
    "requests.delete": HTTP,
    "requests.head": HTTP,
    "requests.options": HTTP,
    "requests.request": HTTP,
    "requests.Session.": HTTP,
    "requests.session.": HTTP,
    "requests.sessions.Session.": HTTP,
    "niquests.": HTTP,  # https://niquests.readthedocs.io/
    "httpx.get": HTTP,  # https://www.python-httpx.org/api/
    "httpx.post": HTTP,
    "httpx.put": HTTP,
    "httpx.patch": HTTP,
    "httpx.delete": HTTP,
    "httpx.head": HTTP,
    "httpx.options": HTTP,
    "httpx.request": HTTP,
    "httpx.stream": HTTP,
    "httpx.Client.": HTTP,
    "httpx.AsyncClient.": HTTP,
    "aiohttp.ClientSession.": HTTP,  # https://docs.aiohttp.org/
    "aiohttp.request": HTTP,
    "urllib.request.urlopen": HTTP,  # [py]
    "urllib.request.urlretrieve": HTTP,
    "urllib3.request": HTTP,  # https://urllib3.readthedocs.io/
    "urllib3.PoolManager.": HTTP,
    "http.client.HTTPConnection.": HTTP,  # [py]
    "http.client.HTTPSConnection.": HTTP,
    "tornado.httpclient.AsyncHTTPClient.": HTTP,  # https://www.tornadoweb.org/
    "requests_oauthlib.OAuth2Session.": HTTP,  # https://requests-oauthlib.readthedocs.io/
    "authlib.integrations.requests_client.OAuth2Session.": HTTP,  # https://docs.authlib.org/
    "authlib.integrations.httpx_client.AsyncOAuth2Client.": HTTP,
    "github.Github.": HTTP,  # https://pygithub.readthedocs.io/
    "github.GithubIntegration.": HTTP,
    "gitlab.Gitlab.": HTTP,  # https://python-gitlab.readthedocs.io/
    "jira.JIRA.": HTTP,  # https://jira.readthedocs.io/
    "git.Repo.clone_from": PROCESS,  # https://gitpython.readthedocs.io/
    "time.sleep": SLEEP,  # [py]
    "asyncio.sleep": SLEEP,
    "anyio.sleep": SLEEP,
    "trio.sleep": SLEEP,
    "gevent.sleep": SLEEP,
    "eventlet.sleep": SLEEP,
    "subprocess.run": PROCESS,  # [py]
    "subprocess.call": PROCESS,
    "subprocess.check_call": PROCESS,
    "subprocess.check_output": PROCESS,
    "subprocess.getoutput": PROCESS,
    "subprocess.getstatusoutput": PROCESS,
    "subprocess.Popen.": PROCESS,
    "asyncio.create_subprocess_exec": PROCESS,
    "asyncio.create_subprocess_shell": PROCESS,
    "anyio.run_process": PROCESS,  # https://anyio.readthedocs.io/
    "os.system": PROCESS,
    "smtplib.SMTP": MAIL,  # [py]
    "smtplib.SMTP.": MAIL,
    "smtplib.SMTP_SSL": MAIL,
    "smtplib.SMTP_SSL.": MAIL,
    "imaplib.IMAP4_SSL": MAIL,
    "imaplib.IMAP4_SSL.": MAIL,
    "aiosmtplib.": MAIL,  # https://aiosmtplib.readthedocs.io/
    "fastapi_mail.FastMail.": MAIL,  # https://sabuhish.github.io/fastapi-mail/
    "flask_mail.Mail.send": MAIL,  # https://flask-mail.readthedocs.io/
    "yagmail.SMTP.": MAIL,  # https://yagmail.readthedocs.io/
    "sendgrid.SendGridAPIClient.": MAIL,  # https://github.com/sendgrid/sendgrid-python
    "boto3.client.": AWS,  # https://boto3.amazonaws.com/
    "boto3.resource.": AWS,
    "boto3.Session.client.": AWS,
    "boto3.Session.resource.": AWS,
    "boto3.session.Session.client.": AWS,
    "boto3.session.Session.resource.": AWS,
    "aioboto3.Session.client.": AWS,  # https://aioboto3.readthedocs.io/
    "aioboto3.Session.resource.": AWS,
    "aiobotocore.session.get_session.create_client.": AWS,  # https://aiobotocore.readthedocs.io/
    "minio.Minio.": STORE,  # https://min.io/docs/minio/linux/developers/python/API.html
    "google.cloud.storage.Client.": STORE,  # https://cloud.google.com/python/docs/reference/storage/latest
    "azure.storage.blob.BlobServiceClient.": STORE,  # https://learn.microsoft.com/python/api/azure-storage-blob/
    "stripe.": PAYMENT,  # https://docs.stripe.com/api
    "braintree.": PAYMENT,  # https://developer.paypal.com/braintree/docs/reference/overview
    "paypalrestsdk.": PAYMENT,  # https://github.com/paypal/PayPal-Python-SDK
    "omise.": PAYMENT,  # https://docs.opn.ooo/python
    "openai.OpenAI.": MODEL,  # https://platform.openai.com/docs
    "openai.AsyncOpenAI.": MODEL,
    "openai.AzureOpenAI.": MODEL,
    "openai.AsyncAzureOpenAI.": MODEL,
    "openai.ChatCompletion.": MODEL,  # before 1.0
    "openai.Completion.": MODEL,
    "openai.Embedding.": MODEL,
    "anthropic.Anthropic.": MODEL,  # https://docs.anthropic.com/
    "anthropic.AsyncAnthropic.": MODEL,
    "anthropic.AnthropicBedrock.": MODEL,
    "anthropic.AsyncAnthropicBedrock.": MODEL,
    "litellm.completion": MODEL,  # https://docs.litellm.ai/
    "litellm.acompletion": MODEL,
    "litellm.embedding": MODEL,
    "litellm.aembedding": MODEL,
    "litellm.responses": MODEL,
    "litellm.aresponses": MODEL,
    "pydantic_ai.Agent.run": MODEL,  # https://ai.pydantic.dev/api/agent/
    "pydantic_ai.Agent.run_sync": MODEL,
    "pydantic_ai.Agent.run_stream": MODEL,
    "pydantic_ai.Agent.iter": MODEL,
    "langchain_openai.ChatOpenAI.": MODEL,  # https://python.langchain.com/api_reference/
    "langchain_openai.OpenAIEmbeddings.": MODEL,
    "langchain_openai.AzureChatOpenAI.": MODEL,
    "langchain_anthropic.ChatAnthropic.": MODEL,
    "langchain.chat_models.init_chat_model.": MODEL,
    "langgraph.graph.StateGraph.compile.": MODEL,  # https://langchain-ai.github.io/langgraph/reference/
    "google.genai.Client.": MODEL,  # https://googleapis.github.io/python-genai/
    "google.generativeai.GenerativeModel.": MODEL,
    "mistralai.Mistral.": MODEL,  # https://github.com/mistralai/client-python
    "cohere.Client.": MODEL,  # https://docs.cohere.com/
    "groq.Groq.": MODEL,  # https://console.groq.com/docs/libraries
    "groq.AsyncGroq.": MODEL,
    "ollama.chat": MODEL,  # https://github.com/ollama/ollama-python
    "ollama.generate": MODEL,
    "ollama.Client.": MODEL,
    "ollama.AsyncClient.": MODEL,
    "celery.result.AsyncResult.get": TASK,  # https://docs.celeryq.dev/en/stable/reference/celery.result.html
    "celery.result.AsyncResult.wait": TASK,
    "celery.result.GroupResult.get": TASK,
    "celery.result.GroupResult.join": TASK,
    "slack_sdk.WebClient.": CHAT,  # https://docs.slack.dev/tools/python-slack-sdk/
    "slack_sdk.web.async_client.AsyncWebClient.": CHAT,
    "slack_sdk.webhook.WebhookClient.": CHAT,
    "twilio.rest.Client.": CHAT,  # https://www.twilio.com/docs/libraries/reference/twilio-python/
    "telegram.Bot.": CHAT,  # https://docs.python-telegram-bot.org/
    "firebase_admin.messaging.send": CHAT,  # https://firebase.google.com/docs/reference/admin/python/
    "apprise.Apprise.notify": CHAT,  # https://github.com/caronc/apprise
    "apprise.Apprise.async_notify": CHAT,
    "paramiko.SSHClient.": HOST,  # https://docs.paramiko.org/
    "asyncssh.connect": HOST,  # https://asyncssh.readthedocs.io/
    "fabric.Connection.": HOST,  # https://docs.fabfile.org/
    "ftplib.FTP.": HOST,  # [py]
    "docker.from_env.": "the Docker daemon",  # https://docker-py.readthedocs.io/
    "docker.DockerClient.": "the Docker daemon",
    "kubernetes.client.CoreV1Api.": "the Kubernetes API",  # https://github.com/kubernetes-client/python
    "kubernetes.client.AppsV1Api.": "the Kubernetes API",
    "kubernetes.client.BatchV1Api.": "the Kubernetes API",
    "kubernetes.client.CustomObjectsApi.": "the Kubernetes API",
    "ldap.initialize.": "an LDAP server",  # https://www.python-ldap.org/
    "ldap3.Connection.": "an LDAP server",  # https://ldap3.readthedocs.io/
    "temporalio.client.Client.": "a workflow engine",  # https://python.temporal.io/
    "elasticsearch.Elasticsearch.": SEARCH,  # https://elasticsearch-py.readthedocs.io/
    "elasticsearch.AsyncElasticsearch.": SEARCH,
    "elasticsearch.helpers.": SEARCH,
    "elasticsearch7.Elasticsearch.": SEARCH,  # the packages of single versions
    "elasticsearch7.AsyncElasticsearch.": SEARCH,
    "elasticsearch7.helpers.": SEARCH,
    "elasticsearch8.Elasticsearch.": SEARCH,
    "elasticsearch8.AsyncElasticsearch.": SEARCH,
    "elasticsearch8.helpers.": SEARCH,
    "opensearchpy.OpenSearch.": SEARCH,  # https://opensearch-project.github.io/opensearch-py/
    "opensearchpy.AsyncOpenSearch.": SEARCH,
    "opensearchpy.helpers.": SEARCH,
    "meilisearch.Client.": SEARCH,  # https://github.com/meilisearch/meilisearch-python
    "meilisearch_python_sdk.Client.": SEARCH,  # https://meilisearch-python-sdk.paulsanders.dev/
    "meilisearch_python_sdk.AsyncClient.": SEARCH,
    "typesense.Client.": SEARCH,  # https://github.com/typesense/typesense-python
    "qdrant_client.QdrantClient.": SEARCH,  # https://python-client.qdrant.tech/
    "qdrant_client.AsyncQdrantClient.": SEARCH,
    "pinecone.Pinecone.": SEARCH,  # https://docs.pinecone.io/reference/python-sdk
    "weaviate.connect_to_local.": SEARCH,  # https://weaviate.io/developers/weaviate/client-libraries/python
    "weaviate.connect_to_custom.": SEARCH,
    "input": PERSON,  # [py]
    "getpass.getpass": PERSON,
    "click.prompt": PERSON,  # https://click.palletsprojects.com/api/
    "click.confirm": PERSON,
    "typer.prompt": PERSON,  # https://typer.tiangolo.com/
    "typer.confirm": PERSON,
}

# Of what begins like the above, these only compute.
LOCAL: frozenset[str] = frozenset(
    (
        "stripe.StripeClient",  # the client's constructor
        "stripe.Webhook.construct_event",  # checks a signature
        "paypalrestsdk.configure",
        "paypalrestsdk.Payment",  # its constructor; `create()` sends it
        "aiosmtplib.SMTP",
        "niquests.Session",
        "niquests.AsyncSession",
    )
)

# Methods of such objects that wait for nobody, or for the end of something that is there already.
LOCAL_METHODS: frozenset[str] = frozenset(
    (
        "__init__",  # of a subclass, by super()
        "close",
        "aclose",
        "mount",  # requests.Session
        "build_request",  # httpx
        "update",  # of the headers, cookies and the like
        "setdefault",
        "generate_presigned_url",  # boto3: signed here
        "generate_presigned_post",
        "get_waiter",
        "get_paginator",
        "poll",  # subprocess.Popen
        "kill",
        "terminate",
        "set_missing_host_key_policy",  # paramiko
        "load_system_host_keys",
        "set_option",  # ldap
    )
)

# Those of single packages: what reads an answer that is there, or only makes a client.
LOCAL_METHODS_OF: dict[str, frozenset[str]] = {
    "stripe": frozenset(("get", "items", "keys", "values", "to_dict")),  # of a StripeObject, which is a dictionary
    "azure": frozenset(  # https://learn.microsoft.com/python/api/azure-storage-blob/
        ("from_connection_string", "get_container_client", "get_blob_client", "get_queue_client")
    ),
    "meilisearch": frozenset(("index",)),  # what it gives sends the requests
    "meilisearch_python_sdk": frozenset(("index",)),
    "google": frozenset(("bucket", "blob")),  # https://cloud.google.com/python/docs/reference/storage/latest
}

# Words in the names of objects that are no further away than the database is: awaiting what they do is no wait for
# something outside, where nothing else is known of them.
NEAR: tuple[str, ...] = ("repo", "dao", "redis", "cache", "task_group")

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
