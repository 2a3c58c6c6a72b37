import { createServer, type Server } from "node:http";
import { connect } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { openHttp } from "../../src/source/http.ts";
import { checkpointFiles, startHub } from "./hub-fixture.ts";

/** A proxy that tunnels, and remembers where to. */
async function startProxy(): Promise<{ url: string; tunnels: string[] }> {
  const tunnels: string[] = [];
  const proxy: Server = createServer((request, response) => {
    tunnels.push(new URL(request.url ?? "").host);
    response.writeHead(502).end();
  });
  proxy.on("connect", (request, socket, head) => {
    tunnels.push(request.url ?? "");
    const [host = "", port = ""] = (request.url ?? "").split(":");
    const upstream = connect(Number(port), host, () => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      upstream.write(head);
      upstream.pipe(socket).pipe(upstream);
    });
    for (const end of [socket, upstream]) end.on("error", () => {});
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    proxy.closeAllConnections();
    proxy.close();
  });
  const address = proxy.address();
  return { url: `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`, tunnels };
}

async function statusThrough(env: Record<string, string>, url: string): Promise<number> {
  const { http, close } = openHttp({ env, userAgent: "test" });
  onTestFinished(close);
  const reply = await http({ method: "GET", url });
  reply.discard();
  return reply.status;
}

test.each(["http_proxy", "HTTP_PROXY"])("%s is honoured", async (name) => {
  const hub = await startHub(checkpointFiles());
  const proxy = await startProxy();
  await statusThrough({ [name]: proxy.url }, `${hub.endpoint}/api/models/org/model`);
  expect(proxy.tunnels).toEqual([new URL(hub.endpoint).host]);
});

test("NO_PROXY leaves hosts out", async () => {
  const hub = await startHub(checkpointFiles());
  const proxy = await startProxy();
  const env = { HTTP_PROXY: proxy.url, NO_PROXY: "127.0.0.1" };
  expect(await statusThrough(env, `${hub.endpoint}/api/models/org/model`)).toBe(200);
  expect(proxy.tunnels).toEqual([]);
});

test("redirects are never followed", async () => {
  const hub = await startHub(checkpointFiles());
  const url = `${hub.endpoint}/org/model/resolve/main/pytorch_model.bin`;
  expect(await statusThrough({}, url)).toBe(302);
});
