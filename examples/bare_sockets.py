"""A bot on bare machines and a blocking socket: all that a driver of your own has to do. Real ones never wait here."""

import os
import random
import socket
import ssl
import time

import httpx

import qqproto as qq
from qqproto_transports.sync import failure_of

LOCAL = [os.environ[name] for name in ("QQ_API_BASE", "QQ_TOKEN_URL") if name in os.environ]  # of `qqproto serve`
ACCOUNT = qq.Account(qq.Credentials(os.environ["QQ_APP_ID"], os.environ["QQ_SECRET"]), endpoints=qq.Endpoints(*LOCAL))
SHARD = qq.Shard(qq.ShardConfig(os.environ["QQ_APP_ID"], qq.Intents.GROUP_AND_C2C_EVENT), random=random.random)
links: dict[int, socket.socket] = {}
now, wait = time.monotonic, 0.0
SHARD.start(now())
while not SHARD.ended:
    for id, link in links.copy().items():
        try:
            link.settimeout(wait)
            SHARD.receive_data(id, link.recv(65536), now())
        except OSError as error:
            if not isinstance(error, TimeoutError):
                SHARD.connection_lost(id, failure_of(error), now())
    time.sleep(0 if links else wait)
    SHARD.handle_timer(now())
    ACCOUNT.handle_timer(now())
    while (output := SHARD.next_output() or ACCOUNT.next_output()) is not None:
        try:
            match output:
                case qq.FetchToken() | qq.FetchGateway() | qq.ReserveIdentify():
                    ACCOUNT.ask("shard", output, now())
                case qq.Answer():
                    SHARD.answer(output.id, output.value, now())
                case qq.SendRequest(request=asked):
                    r = httpx.request(asked.method, asked.url, headers=asked.headers, content=asked.body)
                    ACCOUNT.response_received(output.id, qq.HTTPResponse(r.status_code, r.headers, r.content), now())
                case qq.OpenConnection():
                    url = httpx.URL(output.url)
                    link = socket.create_connection((url.host, url.port or 443), timeout=10)
                    links[output.id] = ssl.create_default_context().wrap_socket(link, server_hostname=url.host)
                    SHARD.connection_opened(output.id, now())
                case qq.SendData() if output.id in links:
                    links[output.id].sendall(output.data)
                case qq.CloseConnection() | qq.Abort() if output.id in links:
                    links.pop(output.id).close()
                    SHARD.connection_lost(output.id, qq.Failure(qq.FailureKind.EOF), now())
                case qq.Ready() | qq.Dispatch() | qq.Disconnected() | qq.Stopped():
                    print(output, flush=True)
                case _:
                    pass  # other events; and nothing is ever under way that could be cancelled
        except (OSError, httpx.HTTPError) as error:
            assert not isinstance(output, qq.Event)
            tell = ACCOUNT.request_failed if isinstance(output, qq.SendRequest) else SHARD.connection_lost
            tell(output.id, failure_of(error), now())
    wait = max(min(at for at in (SHARD.next_timer(), ACCOUNT.next_timer(), now() + 15) if at) - now(), 0.001)
