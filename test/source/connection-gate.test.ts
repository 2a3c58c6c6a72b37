import { expect, test } from "vitest";
import { ConnectionGate } from "../../src/source/connection-gate.ts";

/** Runs busy connections for `seconds` of made-up time; `rateOf` is the throughput of n connections. */
async function simulate(
  gate: ConnectionGate,
  clock: { ms: number },
  how: { seconds: number; rateOf: (n: number) => number },
) {
  const signal = new AbortController().signal;
  let active = 0;
  let bytes = 0;
  for (const end = clock.ms + how.seconds * 1000; clock.ms < end; ) {
    while (active < gate.limit) {
      await gate.enter(signal);
      active++;
    }
    while (gate.crowded) {
      gate.leave();
      active--;
    }
    clock.ms += 10;
    const nbytes = how.rateOf(active) / 100;
    bytes += nbytes;
    gate.arrived(nbytes);
  }
  while (active-- > 0) gate.leave();
  return bytes / how.seconds;
}

function gateWith(max: number) {
  const clock = { ms: 0 };
  return { clock, gate: new ConnectionGate({ max, windowMs: 100, now: () => clock.ms }) };
}

test("connections that bring more are added up to the ceiling", async () => {
  const { gate, clock } = gateWith(16);
  expect(await simulate(gate, clock, { seconds: 20, rateOf: (n) => n * 1000 })).toBeGreaterThan(0.8 * 16_000);
});

test("connections that bring nothing are given up", async () => {
  const { gate, clock } = gateWith(16);
  await simulate(gate, clock, { seconds: 2, rateOf: () => 1000 });
  expect(gate.limit).toBeLessThanOrEqual(2);
});

test("with a cap and a penalty per connection it comes within 20 % of the best fixed number (T9)", async () => {
  const { gate, clock } = gateWith(16);
  const rateOf = (n: number) => 1000 * Math.min(1, n / 3) * (1 - 0.05 * (n - 1));
  const best = Math.max(...Array.from({ length: 16 }, (_, i) => rateOf(i + 1)));
  expect(await simulate(gate, clock, { seconds: 30, rateOf })).toBeGreaterThan(0.8 * best);
});

test("when the network gets better again it climbs again", async () => {
  const { gate, clock } = gateWith(16);
  await simulate(gate, clock, { seconds: 3, rateOf: () => 1000 });
  expect(await simulate(gate, clock, { seconds: 20, rateOf: (n) => n * 1000 })).toBeGreaterThan(0.8 * 16_000);
});

test("refusals halve, stalls take a quarter, and one always stays (T27)", () => {
  const { gate } = gateWith(16);
  gate.refused();
  expect(gate.limit).toBe(4);
  gate.stalled();
  expect(gate.limit).toBe(3);
  for (let i = 0; i < 10; i++) gate.refused();
  expect(gate.limit).toBe(1);
});

test("places are given to those who wait, and waiting can be aborted", async () => {
  const gate = new ConnectionGate({ max: 1, windowMs: 100, now: () => 0 });
  const stop = new AbortController();
  await gate.enter(stop.signal);
  const second = gate.enter(stop.signal);
  gate.leave();
  await second;
  const third = gate.enter(stop.signal);
  stop.abort();
  await expect(third).rejects.toMatchObject({ code: "E_ABORTED" });
});
