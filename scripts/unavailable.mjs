// What the checks do when this machine cannot run them: they say why and end with 77, which .ci/run lists as not run.

/** Ends the process: what was to be checked is neither right nor wrong. */
export function unavailable(reason) {
  console.error(`not run: ${reason}`);
  process.exit(77);
}
