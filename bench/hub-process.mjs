// The loopback hub in a process of its own, so that it does not share a thread with what is measured.
import { HubServer } from "../dist/hub-server/hub-server.js";
import { commitOfFolder } from "../dist/hub-server/repository.js";

const commit = await commitOfFolder(process.argv[2]);
const hub = await HubServer.start({
  repositories: [{ id: "org/model", access: "public", refs: new Map([["main", commit]]) }],
});
process.send({
  endpoint: hub.endpoint,
  files: [...commit.files.values()].map(({ path, size, sha256 }) => ({ path, size, sha256 })),
});
