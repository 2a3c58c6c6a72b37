// Acquires one model in a process of its own, so that tests can kill it. Needs the built package in dist/.
import { acquire, openHttp, resolveSource } from "../../dist/index.js";

const { home, env, model, options } = JSON.parse(process.argv[2]);
const { http, close } = openHttp({ env: {}, userAgent: "mlc-convert-test" });
const deps = { http, env, home, platform: process.platform, now: Date.now, onEvent: () => {} };
const acquired = await acquire(await resolveSource(model, options, deps), options, deps);
process.stdout.write(JSON.stringify({ folder: acquired.folder, commit: acquired.commit }));
await close();
